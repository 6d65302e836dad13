// Mamba's mixer (2023; formwork/mixers/recurrent/mamba.h has the formula), with real states whose input and
// output matrices follow the token. A sequence keeps the last inputs of the convolution, [K - 1, E], and h
// [E, N].
#include <algorithm>
#include <cmath>

#include "formwork/kernels/cpu/elementwise.h"
#include "formwork/kernels/cpu/selective_scan.h"
#include "formwork/mixers/recurrent/mamba_options.h"
#include "formwork/runtime/linear_map.h"
#include "formwork/runtime/mixers/causal_convolution.h"
#include "formwork/runtime/mixers/recurrent_memory.h"

namespace formwork::runtime {
namespace {

class Mamba final : public Mixer {
 public:
  using Options = MambaOptions;

  Mamba(Scope& scope, const Options& options);
  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    return std::make_unique<RecurrentMemory>(conv_->memory() + inner_ * states_, options);
  }
  void run(Pass& pass, State* state, In x, Out y) const override;

 private:
  struct Buffers {
    float *xz, *x, *z, *from_x, *delta, *b, *c, *y;
  };
  void step_sizes(Pass& pass, const Buffers& buffers) const;
  void split(const Pass& pass, const Buffers& buffers) const;
  void scan(const Sequence& sequence, float* h, const Buffers& buffers) const;

  int64_t inner_, states_, rank_ = 0, wide_ = 0;
  bool zoh_;
  std::unique_ptr<LinearMap> in_, x_, delta_, out_;
  std::unique_ptr<CausalConvolution> conv_;
  std::vector<float> rates_;  // A [E, N]
  const float *skip_, *delta_bias_ = nullptr;
};

void require_supported(const Scope& scope, const MambaOptions& options) {
  const auto refuse_option = [&](bool set, const char* what) {
    if (set) refuse_form(scope.path(), "'mamba' with {}", what);
  };
  refuse_option(options.complex, "complex states");
  refuse_option(!options.selective_b, "a constant input matrix (selective_b: false)");
  refuse_option(!options.selective_c, "a constant output matrix (selective_c: false)");
}

Mamba::Mamba(Scope& scope, const Options& options) : zoh_(options.discretization == "zoh") {
  require_supported(scope, options);
  const int64_t width = scope.in.asked();
  const auto channels = std::max<int64_t>(1, std::llround(options.expand * static_cast<double>(width)));
  const Axis inner = scope.axis("inner", channels), state = scope.axis("state", options.d_state);
  inner_ = inner.size, states_ = state.size;
  std::vector<std::vector<Axis>> segments;
  if (options.selective_delta) {
    const Axis rank = scope.axis("rank", options.dt_rank ? options.dt_rank : (width + 15) / 16);
    rank_ = rank.size;
    segments.push_back({rank});
    delta_ = make_linear(scope, "delta", {rank, inner, true});
  } else {
    delta_bias_ = scope.floats("delta_bias", {inner_});
  }
  segments.insert(segments.end(), 2, {state});
  wide_ = rank_ + 2 * states_;
  in_ = make_linear(scope, "in", {scope.in, Dim::concat({{inner}, {inner}})});
  x_ = make_linear(scope, "x", {inner, Dim::concat(segments)});
  out_ = make_linear(scope, "out", {inner, scope.out});
  skip_ = scope.floats("D", {inner_});
  conv_ = std::make_unique<CausalConvolution>(scope.at("conv"), inner_, options.d_conv, true);
  const float* a_log = scope.floats("A_log", {inner_, states_});
  for (int64_t i = 0; i < inner_ * states_; ++i) rates_.push_back(-std::exp(a_log[i]));
}

void Mamba::step_sizes(Pass& pass, const Buffers& buffers) const {
  if (delta_)
    delta_->run(pass, pass.rows, {buffers.from_x, wide_}, {buffers.delta, inner_});
  else
    for (int64_t r = 0; r < pass.rows; ++r) std::copy_n(delta_bias_, inner_, buffers.delta + r * inner_);
  for (int64_t i = 0; i < pass.rows * inner_; ++i)
    buffers.delta[i] = buffers.delta[i] > 20 ? buffers.delta[i] : std::log1p(std::exp(buffers.delta[i]));
}

// The kernel reads dense arrays.
void Mamba::split(const Pass& pass, const Buffers& buffers) const {
  for (int64_t r = 0; r < pass.rows; ++r) {
    const float* from = buffers.from_x + r * wide_ + rank_;
    std::copy_n(buffers.xz + r * 2 * inner_ + inner_, inner_, buffers.z + r * inner_);
    std::copy_n(from, states_, buffers.b + r * states_);
    std::copy_n(from + states_, states_, buffers.c + r * states_);
  }
}

void Mamba::scan(const Sequence& sequence, float* h, const Buffers& buffers) const {
  SelectiveScanInput<float> in;
  in.batch = 1, in.length = sequence.count, in.channels = inner_, in.states = states_;
  in.delta = buffers.delta + sequence.first * inner_, in.A = rates_.data();
  in.B = buffers.b + sequence.first * states_, in.C = buffers.c + sequence.first * states_;
  in.x = buffers.x + sequence.first * inner_, in.z = buffers.z + sequence.first * inner_;
  in.D = skip_, in.h0 = h, in.zoh = zoh_;
  selective_scan_forward<float>(in, buffers.y + sequence.first * inner_, h, nullptr);
}

void Mamba::run(Pass& pass, State* state, In x, Out y) const {
  const Arena::Frame frame(pass.arena);
  auto& arena = pass.arena;
  const Buffers buffers{arena.take(2 * inner_), arena.take(inner_),  arena.take(inner_),  arena.take(wide_),
                        arena.take(inner_),     arena.take(states_), arena.take(states_), arena.take(inner_)};
  in_->run(pass, pass.rows, x, {buffers.xz, 2 * inner_});
  const auto memory = [&](const Sequence& sequence) {
    return static_cast<RecurrentMemory*>(state)->now(sequence.row);
  };
  for (const auto& sequence : pass.sequences) {
    static_cast<RecurrentMemory*>(state)->change(sequence.row, sequence.start);
    conv_->run(sequence.count, buffers.xz + sequence.first * 2 * inner_, 2 * inner_, memory(sequence),
               buffers.x + sequence.first * inner_);
  }
  elementwise(Elementwise::silu, pass.rows, inner_, buffers.x, nullptr, inner_, buffers.x);
  x_->run(pass, pass.rows, {buffers.x, inner_}, {buffers.from_x, wide_});
  step_sizes(pass, buffers);
  split(pass, buffers);
  for (const auto& sequence : pass.sequences) scan(sequence, memory(sequence) + conv_->memory(), buffers);
  out_->run(pass, pass.rows, {buffers.y, inner_}, y);
}

FORMWORK_PART(Mixer, Mamba, "mamba", "selective state space model");

}  // namespace
}  // namespace formwork::runtime
