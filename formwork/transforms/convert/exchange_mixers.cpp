// Puts other token mixers in the place of a model's own; everything else keeps its weights. Layers may keep
// theirs (hybrids). The result has to be trained: see `formwork distil`. Source: Transformers to SSMs:
// Distilling Quadratic Knowledge to Subquadratic Models (2024).
#include <algorithm>

#include "formwork/models/mixing_sites.h"
#include "formwork/transforms/convert/transfer_weights.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

class ExchangeMixers final : public Transform {
 public:
  struct Options {
    PartSpec mixer = "discrete_mamba2";
    std::vector<double> keep;
    int64_t seed = 0;
    void describe(Fields& f) {
      f.part("mixer", mixer, "mixers", "what takes their place");
      f.numbers("keep", keep, "layers, from 0, that keep their own");
      f.integer("seed", seed, "of the new mixers' initialization");
    }
  };
  explicit ExchangeMixers(const Options& options) : options_(options) {}
  bool reads_data() const override { return false; }
  std::vector<Json> budgets() const override { return {}; }  // it makes nothing smaller
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    const auto paths = exchanged(*model);
    Edit edit(*model);
    for (const auto& path : paths) {
      edit.drop(path);
      edit.spec().parts[path] = options_.mixer.to_json();
    }
    edit.record("exchange_mixers", options_json(options_));
    return {transfer_weights(*model, edit.spec(), paths, static_cast<uint64_t>(options_.seed)),
            {{"exchanged", paths}}};
  }

 private:
  // Paths of the mixers of all layers but those that keep theirs.
  std::vector<std::string> exchanged(const Model& model) const {
    const auto layers = layer_segments(model);
    for (const double layer : options_.keep)
      if (layer != std::floor(layer) || layer < 0 || layer >= static_cast<double>(layers.size()))
        fail("exchange_mixers: option 'keep' names layer {}, the model has layers 0 to {}", layer,
             static_cast<int64_t>(layers.size()) - 1);
    std::vector<std::string> paths;
    for (const auto& site : mixing_sites(model)) {
      const auto layer = std::find_if(layers.begin(), layers.end(), [&](const auto& one) {
        return one.first <= site.segment && site.segment < one.last;
      });
      const auto number = static_cast<double>(layer - layers.begin());
      if (std::find(options_.keep.begin(), options_.keep.end(), number) != options_.keep.end()) continue;
      if (std::find(paths.begin(), paths.end(), site.path()) == paths.end()) paths.push_back(site.path());
    }
    if (paths.empty()) fail("exchange_mixers: no layer is left whose mixer could be exchanged");
    return paths;
  }

  Options options_;
};

FORMWORK_PART(Transform, ExchangeMixers, "exchange_mixers",
              "other token mixers in the place of a model's own");

}  // namespace
}  // namespace formwork
