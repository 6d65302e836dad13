// Mamba-2's mixer (2024; formwork/mixers/recurrent/mamba2.h has the formula), one step of the recurrence a
// token. A sequence keeps the last inputs of the convolution, [K - 1, H P + 2 G N], and h [H, N, P].
#include <algorithm>
#include <cmath>

#include "formwork/kernels/cpu/dual_scan.h"
#include "formwork/kernels/cpu/elementwise.h"
#include "formwork/kernels/cpu/norm.h"
#include "formwork/mixers/recurrent/mamba2_options.h"
#include "formwork/runtime/linear_map.h"
#include "formwork/runtime/mixers/causal_convolution.h"
#include "formwork/runtime/mixers/recurrent_memory.h"

namespace formwork::runtime {
namespace {

class Mamba2 final : public Mixer {
 public:
  using Options = Mamba2Options;

  Mamba2(Scope& scope, const Options& options);
  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    return std::make_unique<RecurrentMemory>(conv_->memory() + inner_ * states_, options);
  }
  void run(Pass& pass, State* state, In x, Out y) const override;

 private:
  struct Buffers {
    float *projected, *xbc, *delta, *y, *spare;  // projected: z | x | B | C | steps
  };
  int64_t heads() const { return groups_ * heads_; }
  int64_t convolved() const { return inner_ + 2 * groups_ * states_; }
  int64_t wide() const { return inner_ + convolved() + heads(); }
  void step_sizes(const Pass& pass, const Buffers& buffers) const;
  void scan(const Sequence& sequence, float* h, const Buffers& buffers) const;
  void gate(const Pass& pass, const Buffers& buffers) const;
  void normalize(const Pass& pass, const Buffers& buffers) const;

  Options options_;
  int64_t groups_, heads_, width_, states_, inner_, asked_;  // heads_ and asked_: of one group
  std::unique_ptr<LinearMap> in_, out_;
  std::unique_ptr<CausalConvolution> conv_;
  std::vector<float> rates_;  // A [H]
  const float *skip_, *step_bias_, *gain_ = nullptr;
};

Mamba2::Mamba2(Scope& scope, const Options& options) : options_(options) {
  const auto inner = std::llround(options.expand * static_cast<double>(scope.in.asked()));
  const Axis groups = scope.axis("groups", options.groups),
             heads = scope.axis("heads", inner / options.head_width / options.groups),
             width = scope.axis("head_width", options.head_width),
             state = scope.axis("state", options.d_state);
  groups_ = groups.size, heads_ = heads.size, width_ = width.size, states_ = state.size;
  inner_ = groups_ * heads_ * width_, asked_ = heads.asked() * width.asked();
  const std::vector<Axis> channels = {groups, heads, width}, states = {groups, state};
  in_ = make_linear(
      scope, "in",
      {scope.in, Dim::concat({channels, channels, states, states, {groups, heads}}), options.bias});
  out_ = make_linear(scope, "out", {Dim::product(channels), scope.out, options.bias});
  conv_ =
      std::make_unique<CausalConvolution>(scope.at("conv"), convolved(), options.d_conv, options.conv_bias);
  const float* a_log = scope.floats("A_log", {this->heads()});
  for (int64_t h = 0; h < this->heads(); ++h) rates_.push_back(-std::exp(a_log[h]));
  skip_ = scope.floats("D", {this->heads()});
  step_bias_ = scope.floats("dt_bias", {this->heads()});
  if (options.norm) gain_ = scope.floats("gate_norm.weight", {inner_});
}

void Mamba2::step_sizes(const Pass& pass, const Buffers& buffers) const {
  for (int64_t r = 0; r < pass.rows; ++r)
    for (int64_t h = 0; h < heads(); ++h) {
      const float raw = buffers.projected[r * wide() + inner_ + convolved() + h] + step_bias_[h];
      float step = raw > 20 ? raw : std::log1p(std::exp(raw));
      step = std::max(step, static_cast<float>(options_.dt_low));
      if (options_.dt_high > 0) step = std::min(step, static_cast<float>(options_.dt_high));
      buffers.delta[r * heads() + h] = step;
    }
}

void Mamba2::scan(const Sequence& sequence, float* h, const Buffers& buffers) const {
  DualScanInput in;
  in.length = sequence.count, in.groups = groups_, in.heads = heads_, in.width = width_, in.states = states_;
  in.stride = convolved(), in.x = buffers.xbc + sequence.first * convolved();
  in.B = in.x + inner_, in.C = in.B + groups_ * states_;
  in.delta = in.gain = buffers.delta + sequence.first * heads(), in.A = rates_.data(), in.D = skip_;
  dual_scan_forward(in, h, buffers.y + sequence.first * inner_);
}

void Mamba2::gate(const Pass& pass, const Buffers& buffers) const {
  for (int64_t r = 0; r < pass.rows; ++r) {
    float* y = buffers.y + r * inner_;
    elementwise(Elementwise::silu, 1, inner_, buffers.projected + r * wide(), y, inner_, y);
  }
}

void Mamba2::normalize(const Pass& pass, const Buffers& buffers) const {
  if (!gain_) return;
  rms_norm_forward<float>({pass.rows * groups_, heads_ * width_, static_cast<float>(asked_),
                           static_cast<float>(options_.norm_eps), nullptr},
                          buffers.y, buffers.y, buffers.spare);
  for (int64_t r = 0; r < pass.rows; ++r)
    for (int64_t c = 0; c < inner_; ++c) buffers.y[r * inner_ + c] *= gain_[c];
}

void Mamba2::run(Pass& pass, State* state, In x, Out y) const {
  const Arena::Frame frame(pass.arena);
  auto& arena = pass.arena;
  const Buffers buffers{arena.take(wide()), arena.take(convolved()), arena.take(heads()), arena.take(inner_),
                        arena.take(groups_)};
  in_->run(pass, pass.rows, x, {buffers.projected, wide()});
  auto* memory = static_cast<RecurrentMemory*>(state);
  for (const auto& sequence : pass.sequences) {
    float* window = memory->change(sequence.row, sequence.start);
    conv_->run(sequence.count, buffers.projected + sequence.first * wide() + inner_, wide(), window,
               buffers.xbc + sequence.first * convolved());
  }
  elementwise(Elementwise::silu, pass.rows, convolved(), buffers.xbc, nullptr, convolved(), buffers.xbc);
  step_sizes(pass, buffers);
  for (const auto& sequence : pass.sequences)
    scan(sequence, memory->now(sequence.row) + conv_->memory(), buffers);
  if (options_.norm_before_gate) normalize(pass, buffers);
  gate(pass, buffers);
  if (!options_.norm_before_gate) normalize(pass, buffers);
  out_->run(pass, pass.rows, {buffers.y, inner_}, y);
}

FORMWORK_PART(Mixer, Mamba2, "mamba2", "state space model with heads");

}  // namespace
}  // namespace formwork::runtime
