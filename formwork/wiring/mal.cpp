// Memory as a layer: the memory, then attention over the last tokens, then the channel mixer, each x +
// f(norm(x)). Source: Titans: Learning to Memorize at Test Time (2024), section 4.3.
#include "formwork/wiring/hybrid_options.h"
#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

class MemoryAsLayer final : public Wiring {
 public:
  using Options = HybridOptions;
  MemoryAsLayer(Build& build, const Options& options) : out_(build.in) {
    add(build, "memory", options.around(options.memory, {}));
    add(build, "attention", options.around(options.attention, options.channel));
  }
  std::vector<Step> steps() override {
    std::vector<Step> list;
    for (auto& layer : layers_)
      for (auto& step : layer->steps()) list.push_back(std::move(step));
    return list;
  }
  Axis out() const override { return out_; }

 private:
  void add(const Build& build, const std::string& name, const LayerOptions& options) {
    Build child = build.at(name);
    child.in = child.out = out_;
    layers_.push_back(Registry<Wiring>::make(child, PartSpec("pre", options_json(options))));
    out_ = layers_.back()->out();
  }

  Axis out_;
  std::vector<std::unique_ptr<Wiring>> layers_;
};

FORMWORK_PART(Wiring, MemoryAsLayer, "mal", "a memory, then attention over the last tokens");

}  // namespace
}  // namespace formwork
