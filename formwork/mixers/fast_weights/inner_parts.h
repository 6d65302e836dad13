// The parts of an inner loop, built from options: features, a memory and an optimizer.
#pragma once
#include "formwork/mixers/fast_weights/fast_weights_options.h"
#include "formwork/mixers/fast_weights/inner_loop.h"

namespace formwork {

struct InnerParts {
  std::unique_ptr<FeatureMap> features;
  std::unique_ptr<FastMemory> memory;
  std::unique_ptr<InnerOptimizer> optimizer;
  InnerLoop loop;  // of these parts
};

// Builds them below `build` as "features", "memory" and "optimizer", for heads with keys and values of these
// axes.
InnerParts make_inner_parts(const Build& build, const FastWeightOptions& options, const Axis& heads,
                            const Axis& key_width, const Axis& value_width);

}  // namespace formwork
