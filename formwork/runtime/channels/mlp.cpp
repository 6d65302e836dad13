// MLPs: y = f(x W_up^T + b) W_down^T + b, or with a gate (f(x W_gate^T) * x W_up^T) W_down^T.
#include "formwork/channels/mlp_options.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {
namespace {

template <bool kGated>
class MlpPart final : public Channel {
 public:
  using Options = std::conditional_t<kGated, GatedMlpOptions, MlpOptions>;

  MlpPart(Scope& scope, const Options& options) {
    Scope child = scope.at("activation");
    activation_ = Registry<Activation>::make(child, options.activation);
    const int64_t usual = kGated ? (8 * scope.in.asked() / 3 + 7) / 8 * 8 : 4 * scope.in.asked();
    const Axis hidden = scope.axis("hidden", options.hidden ? options.hidden : usual);
    hidden_ = hidden.size;
    const Dim wide = kGated ? Dim::concat({{hidden}, {hidden}}) : Dim(hidden);
    up_ = make_linear(scope, kGated ? "gate_up" : "up", {scope.in, wide, options.bias});
    down_ = make_linear(scope, "down", {hidden, scope.out, options.bias});
  }

  void run(Pass& pass, State*, In x, Out y) const override {
    const Arena::Frame frame(pass.arena);
    const int64_t wide = up_->outputs();
    float *raw = pass.arena.take(wide), *hidden = pass.arena.take(hidden_);
    up_->run(pass, pass.rows, x, {raw, wide});
    activation_->run(pass.rows, hidden_, raw, kGated ? raw + hidden_ : nullptr, wide, hidden);
    down_->run(pass, pass.rows, {hidden, hidden_}, y);
  }

 private:
  int64_t hidden_;
  std::unique_ptr<Activation> activation_;
  std::unique_ptr<LinearMap> up_, down_;
};

using Mlp = MlpPart<false>;
using GatedMlp = MlpPart<true>;
FORMWORK_PART(Channel, Mlp, "mlp", "two maps with an activation between them");
FORMWORK_PART(Channel, GatedMlp, "gated_mlp", "an MLP whose hidden units are gated");

}  // namespace
}  // namespace formwork::runtime
