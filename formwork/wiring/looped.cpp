// Looped wiring (Dehghani et al., 2018): inner layers repeated with the same weights. The choice "loops" of
// a pass may stop earlier; visit numbers of the taps count repetitions.
#include "formwork/wiring/layer_options.h"
#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

class Looped final : public Wiring {
 public:
  using Options = LoopedOptions;

  Looped(Build& build, const Options& options) : times_(options.times), out_(build.in) {
    if (options.layers.empty()) fail("{}: a looped wiring needs layers", build.path());
    for (size_t i = 0; i < options.layers.size(); ++i) {
      Build child = build.at(fmt::format("layers.{}", i));
      child.in = child.out = out_;
      layers_.push_back(Registry<Wiring>::make(child, options.layers[i]));
      out_ = layers_.back()->out();
    }
    if (out_.size != build.in.size)
      fail("{}: a loop must end as wide as it began, {}, found {}", build.path(), build.in.size, out_.size);
  }

  std::vector<Step> steps() override {
    std::vector<Step> list;
    for (int64_t loop = 0; loop < times_; ++loop)
      for (auto& layer : layers_)
        for (auto& step : layer->steps()) {
          list.push_back(std::move(step));
          list.back().loop = loop;
        }
    return list;
  }
  Axis out() const override { return out_; }

 private:
  int64_t times_;
  Axis out_;
  std::vector<std::unique_ptr<Wiring>> layers_;
};

FORMWORK_PART(Wiring, Looped, "looped", "layers repeated with the same weights");

}  // namespace
}  // namespace formwork
