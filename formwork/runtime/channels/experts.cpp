// A sparse mixture of expert MLPs: y = sum over a token's k experts of gate_e * expert_e(x). The tokens of
// each expert are multiplied together, one expert after another.
#include "formwork/channels/experts_options.h"
#include "formwork/runtime/channels/router.h"

namespace formwork::runtime {
namespace {

class Experts final : public Channel {
 public:
  using Options = ExpertsOptions;

  Experts(Scope& scope, const Options& options) : gated_(options.gated) {
    Scope child = scope.at("activation");
    activation_ = Registry<Activation>::make(child, options.activation);
    const int64_t width = scope.in.asked();
    const int64_t usual = options.gated ? (8 * width / 3 + 7) / 8 * 8 : 4 * width;
    const Axis experts = scope.axis("experts", options.experts),
               hidden = scope.axis("hidden", options.hidden ? options.hidden : usual);
    count_ = experts.size, hidden_ = hidden.size, in_ = scope.in.size, out_ = scope.out.size;
    router_ = std::make_unique<Router>(scope, experts, options.router);
    const Dim wide = options.gated ? Dim::concat({{hidden}, {hidden}}) : Dim(hidden);
    up_ = make_linear(scope, options.gated ? "gate_up" : "up", {scope.in, wide, options.bias, count_});
    down_ = make_linear(scope, "down", {hidden, scope.out, options.bias, count_});
  }

  void run(Pass& pass, State*, In x, Out y) const override {
    const Arena::Frame frame(pass.arena);
    const int64_t k = router_->active(), wide = up_->outputs();
    float *probabilities = pass.arena.take(count_), *gates = pass.arena.take(k);
    auto* modules = reinterpret_cast<int32_t*>(pass.arena.take(k));
    const Buffers buffers{pass.arena.take(in_), pass.arena.take(wide), pass.arena.take(hidden_),
                          pass.arena.take(out_)};
    router_->choose(pass, x, probabilities, modules, gates);
    if (!y.add)
      for (int64_t r = 0; r < pass.rows; ++r) std::fill_n(y.data + r * y.stride, out_, 0.0f);
    // While the need is being measured, one expert without rows stands for all.
    for (int64_t e = 0; e < (pass.rows ? count_ : 1); ++e) run_expert(pass, e, modules, gates, buffers, x, y);
  }

 private:
  struct Buffers {
    float *rows, *raw, *hidden, *out;
  };
  void run_expert(Pass& pass, int64_t expert, const int32_t* modules, const float* gates,
                  const Buffers& buffers, In x, Out y) const {
    const int64_t k = router_->active(), wide = up_->outputs();
    const int64_t rows =
        each_that_took(expert, modules, pass.rows, k, [&](int64_t r, int64_t place, int64_t) {
          std::copy_n(x.data + r * x.stride, in_, buffers.rows + place * in_);
        });
    if (rows == 0 && pass.rows > 0) return;
    up_->run(pass, rows, {buffers.rows, in_}, {buffers.raw, wide}, expert);
    activation_->run(rows, hidden_, buffers.raw, gated_ ? buffers.raw + hidden_ : nullptr, wide,
                     buffers.hidden);
    down_->run(pass, rows, {buffers.hidden, hidden_}, {buffers.out, out_}, expert);
    each_that_took(expert, modules, pass.rows, k, [&](int64_t r, int64_t place, int64_t j) {
      const float gate = gates[r * k + j];
      for (int64_t c = 0; c < out_; ++c) y.data[r * y.stride + c] += gate * buffers.out[place * out_ + c];
    });
  }

  bool gated_;
  int64_t count_, hidden_, in_, out_;
  std::unique_ptr<Activation> activation_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<LinearMap> up_, down_;
};

FORMWORK_PART(Channel, Experts, "experts", "a sparse mixture of expert MLPs, k for each token");

}  // namespace
}  // namespace formwork::runtime
