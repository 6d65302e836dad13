// Looped wiring: inner layers repeated with the same weights, each time with states of their own.
#include "formwork/runtime/wiring/wiring.h"

namespace formwork::runtime {
namespace {

class Looped final : public Wiring {
 public:
  using Options = LoopedOptions;

  Looped(Scope& scope, const Options& options) : times_(options.times), out_(scope.in) {
    if (options.layers.empty()) fail("{}: a looped wiring needs layers", scope.path());
    for (size_t i = 0; i < options.layers.size(); ++i) {
      Scope child = scope.at(fmt::format("layers.{}", i));
      child.in = child.out = out_;
      layers_.push_back(make_wiring(child, options.layers[i]));
      out_ = layers_.back()->out();
    }
    if (out_.size != scope.in.size)
      fail("{}: a loop must end as wide as it began, {}, found {}", scope.path(), scope.in.size, out_.size);
  }
  std::vector<const Step*> steps() const override {
    std::vector<const Step*> list;
    for (int64_t loop = 0; loop < times_; ++loop)
      for (const auto& layer : layers_)
        for (const Step* step : layer->steps()) list.push_back(step);
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
}  // namespace formwork::runtime
