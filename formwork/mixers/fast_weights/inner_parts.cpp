#include "formwork/mixers/fast_weights/inner_parts.h"

namespace formwork {

InnerParts make_inner_parts(const Build& build, const FastWeightOptions& options, const Axis& heads,
                            const Axis& key_width, const Axis& value_width) {
  InnerParts parts;
  Build features = build.at("features");
  features.heads = {heads}, features.in = features.out = key_width;
  parts.features = Registry<FeatureMap>::make(features, options.features);
  Build memory = build.at("memory");
  memory.heads = {heads}, memory.in = parts.features->features(), memory.out = value_width;
  parts.memory = Registry<FastMemory>::make(memory, options.memory);
  Build optimizer = build.at("optimizer");
  parts.optimizer = Registry<InnerOptimizer>::make(optimizer, options.optimizer);
  const auto loss = options.loss == "hebbian" ? InnerLoss::hebbian : InnerLoss::regression;
  parts.loop = {parts.memory.get(), parts.features.get(), parts.optimizer.get(), loss,
                options.window,     options.chunk,        build.path()};
  return parts;
}

}  // namespace formwork
