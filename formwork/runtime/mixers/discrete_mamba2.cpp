// Discrete Mamba-2 (2024; formwork/mixers/recurrent/discrete_mamba2.cpp has the formula), one step of the
// recurrence a token. A sequence keeps the last inputs of the convolution, [K - 1, H P + 2 G N], and h [H, N,
// P].
#include <cmath>

#include "formwork/kernels/cpu/dual_scan.h"
#include "formwork/kernels/cpu/elementwise.h"
#include "formwork/mixers/recurrent/discrete_mamba2_options.h"
#include "formwork/runtime/linear_map.h"
#include "formwork/runtime/mixers/causal_convolution.h"
#include "formwork/runtime/mixers/recurrent_memory.h"

namespace formwork::runtime {
namespace {

class DiscreteMamba2 final : public Mixer {
 public:
  using Options = DiscreteMamba2Options;

  DiscreteMamba2(Scope& scope, const Options& options) : options_(options) {
    const auto inner = std::llround(options.expand * static_cast<double>(scope.in.asked()));
    const int64_t asked_groups = options.groups ? options.groups : options.heads;
    const Axis groups = scope.axis("groups", asked_groups),
               heads = scope.axis("heads", options.heads / asked_groups),
               width = scope.axis("head_width", inner / options.heads),
               state = scope.axis("state", options.d_state);
    groups_ = groups.size, heads_ = heads.size, width_ = width.size, states_ = state.size;
    inner_ = groups_ * heads_ * width_;
    const std::vector<Axis> channels = {groups, heads, width}, states = {groups, state};
    std::vector<std::vector<Axis>> rows = {channels, states, states, channels};
    if (options.decay) rows.push_back({groups, heads});
    in_ = make_linear(scope, "in", {scope.in, Dim::concat(rows), options.bias});
    out_ = make_linear(scope, "out", {Dim::product(channels), scope.out, options.bias});
    conv_ =
        std::make_unique<CausalConvolution>(scope.at("conv"), convolved(), options.d_conv, options.conv_bias);
    if (!options.bias) gate_bias_ = scope.floats("z_bias", {inner_});
    skip_ = scope.floats("D", {this->heads()});
    rates_.assign(static_cast<size_t>(this->heads()), -1);
  }

  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    return std::make_unique<RecurrentMemory>(conv_->memory() + inner_ * states_, options);
  }

  void run(Pass& pass, State* state, In x, Out y) const override {
    const Arena::Frame frame(pass.arena);
    auto& arena = pass.arena;
    const Buffers buffers{arena.take(wide()), arena.take(convolved()), arena.take(heads()),
                          arena.take(inner_)};
    in_->run(pass, pass.rows, x, {buffers.projected, wide()});
    steps(pass, buffers);
    auto* memory = static_cast<RecurrentMemory*>(state);
    for (const auto& sequence : pass.sequences) {
      float* window = memory->change(sequence.row, sequence.start);
      float* xbc = buffers.xbc + sequence.first * convolved();
      conv_->run(sequence.count, buffers.projected + sequence.first * wide(), wide(), window, xbc);
      if (options_.activation == "silu")
        elementwise(Elementwise::silu, sequence.count, convolved(), xbc, nullptr, convolved(), xbc);
      scan(sequence, window + conv_->memory(), buffers);
    }
    gate(pass, buffers);
    out_->run(pass, pass.rows, {buffers.y, inner_}, y);
  }

 private:
  struct Buffers {
    float *projected, *xbc, *delta, *y;  // projected: x | B | C | z | a
  };
  int64_t heads() const { return groups_ * heads_; }
  int64_t convolved() const { return inner_ + 2 * groups_ * states_; }
  int64_t wide() const { return convolved() + inner_ + (options_.decay ? heads() : 0); }

  // -log of what is left of a state: softplus(a), or nothing.
  void steps(const Pass& pass, const Buffers& buffers) const {
    for (int64_t r = 0; r < pass.rows; ++r)
      for (int64_t h = 0; h < heads(); ++h) {
        float step = 0;
        if (options_.decay) {
          const float raw = buffers.projected[r * wide() + convolved() + inner_ + h];
          step = raw > 20 ? raw : std::log1p(std::exp(raw));
        }
        buffers.delta[r * heads() + h] = step;
      }
  }

  void scan(const Sequence& sequence, float* h, const Buffers& buffers) const {
    DualScanInput in;
    in.length = sequence.count, in.groups = groups_, in.heads = heads_, in.width = width_,
    in.states = states_;
    in.stride = convolved(), in.x = buffers.xbc + sequence.first * convolved();
    in.B = in.x + inner_, in.C = in.B + groups_ * states_;
    in.delta = buffers.delta + sequence.first * heads(), in.A = rates_.data(), in.D = skip_;
    dual_scan_forward(in, h, buffers.y + sequence.first * inner_);
  }

  void gate(const Pass& pass, const Buffers& buffers) const {
    for (int64_t r = 0; r < pass.rows; ++r) {
      float *z = buffers.projected + r * wide() + convolved(), *y = buffers.y + r * inner_;
      if (gate_bias_)
        for (int64_t c = 0; c < inner_; ++c) z[c] += gate_bias_[c];
      elementwise(Elementwise::silu, 1, inner_, z, y, inner_, y);
    }
  }

  Options options_;
  int64_t groups_, heads_, width_, states_, inner_;  // heads_: of one group
  std::unique_ptr<LinearMap> in_, out_;
  std::unique_ptr<CausalConvolution> conv_;
  std::vector<float> rates_;  // -1 [H]
  const float *skip_, *gate_bias_ = nullptr;
};

FORMWORK_PART(Mixer, DiscreteMamba2, "discrete_mamba2", "state space model that is one causal matrix a head");

}  // namespace
}  // namespace formwork::runtime
