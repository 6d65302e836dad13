// Stick-breaking attention over routed modules (2023; formwork/mixers/attention/stick_breaking.h has the
// formula) and a key-value cache that the modules share: the k queries of a token are the group of each key
// head.
#include <algorithm>
#include <cmath>

#include "formwork/mixers/attention/stick_breaking_options.h"
#include "formwork/runtime/channels/router.h"
#include "formwork/runtime/mixers/cached_heads.h"

namespace formwork::runtime {
namespace {

class StickBreakingAttention final : public Mixer {
 public:
  using Options = StickBreakingOptions;

  StickBreakingAttention(Scope& scope, const Options& options);
  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    return std::make_unique<KvCache>(CacheLayout{options.cache, heads_, width_, value_width_}, 0, options);
  }
  void run(Pass& pass, State* state, In x, Out y) const override;

 private:
  // keys, values, queries [rows, H k d] and their mixed values; what a token chose; and rows of one module.
  struct Buffers {
    float *k, *v, *q, *mixed, *probabilities, *gates;
    int32_t* chosen;
    float *input, *heads, *output;
  };
  Buffers take(Arena& arena) const;
  void ask_module(Pass& pass, int64_t module, const Buffers& buffers, In x) const;
  void answer_module(Pass& pass, int64_t module, const Buffers& buffers, Out y) const;
  void attend(const Pass& pass, KvCache& cache, const Buffers& buffers) const;

  int64_t modules_ = 1, active_ = 1, heads_, width_, value_width_, in_, out_size_;
  float scale_;
  std::unique_ptr<Router> router_;  // null: one module
  std::unique_ptr<LinearMap> query_, key_, value_, out_;
};

StickBreakingAttention::StickBreakingAttention(Scope& scope, const Options& options)
    : in_(scope.in.size), out_size_(scope.out.size) {
  const int64_t width = scope.in.asked();
  if (!options.head_width && width % options.heads)
    fail("{}: width {} is not divisible by {} heads; choose heads or head_width", scope.path(), width,
         options.heads);
  const int64_t head_width = options.head_width ? options.head_width : width / options.heads;
  int64_t banks = 0;
  if (options.modules > 1) {
    const Axis modules = scope.axis("modules", options.modules);
    banks = modules_ = modules.size;
    router_ = std::make_unique<Router>(scope, modules, options.router);
    active_ = router_->active();
  }
  const Axis heads = scope.axis("heads", options.heads), qk = scope.axis("qk_width", head_width),
             vo = scope.axis("v_width", head_width);
  heads_ = heads.size, width_ = qk.size, value_width_ = vo.size;
  scale_ = static_cast<float>(1 / std::sqrt(static_cast<double>(head_width)));
  const auto key = Dim::product({heads, qk}), value = Dim::product({heads, vo});
  query_ = make_linear(scope, "query", {scope.in, key, false, banks});
  key_ = make_linear(scope, "key", {scope.in, key, options.bias});
  value_ = make_linear(scope, "value", {scope.in, value, options.bias});
  out_ = make_linear(scope, "out", {value, scope.out, false, banks});
}

StickBreakingAttention::Buffers StickBreakingAttention::take(Arena& arena) const {
  const int64_t keys = heads_ * width_, values = heads_ * value_width_;
  Buffers b{};
  b.k = arena.take(keys), b.v = arena.take(values);
  b.q = arena.take(keys * active_), b.mixed = arena.take(values * active_);
  if (!router_) return b;
  b.probabilities = arena.take(modules_), b.gates = arena.take(active_);
  b.chosen = reinterpret_cast<int32_t*>(arena.take(active_));
  b.input = arena.take(in_), b.heads = arena.take(std::max(keys, values)), b.output = arena.take(out_size_);
  return b;
}

// The queries of the tokens that take a module: head h of choice j of a token lies at place h k + j.
void StickBreakingAttention::ask_module(Pass& pass, int64_t module, const Buffers& buffers, In x) const {
  const int64_t keys = heads_ * width_;
  const int64_t rows =
      each_that_took(module, buffers.chosen, pass.rows, active_, [&](int64_t r, int64_t place, int64_t) {
        std::copy_n(x.data + r * x.stride, in_, buffers.input + place * in_);
      });
  if (rows == 0 && pass.rows > 0) return;
  query_->run(pass, rows, {buffers.input, in_}, {buffers.heads, keys}, module);
  each_that_took(module, buffers.chosen, pass.rows, active_, [&](int64_t r, int64_t place, int64_t j) {
    for (int64_t h = 0; h < heads_; ++h)
      std::copy_n(buffers.heads + place * keys + h * width_, width_,
                  buffers.q + (r * heads_ * active_ + h * active_ + j) * width_);
  });
}

void StickBreakingAttention::answer_module(Pass& pass, int64_t module, const Buffers& buffers, Out y) const {
  const int64_t values = heads_ * value_width_;
  const int64_t rows =
      each_that_took(module, buffers.chosen, pass.rows, active_, [&](int64_t r, int64_t place, int64_t j) {
        for (int64_t h = 0; h < heads_; ++h)
          std::copy_n(buffers.mixed + (r * heads_ * active_ + h * active_ + j) * value_width_, value_width_,
                      buffers.heads + place * values + h * value_width_);
      });
  if (rows == 0 && pass.rows > 0) return;
  out_->run(pass, rows, {buffers.heads, values}, {buffers.output, out_size_}, module);
  each_that_took(module, buffers.chosen, pass.rows, active_, [&](int64_t r, int64_t place, int64_t j) {
    const float gate = buffers.gates[r * active_ + j];
    for (int64_t c = 0; c < out_size_; ++c)
      y.data[r * y.stride + c] += gate * buffers.output[place * out_size_ + c];
  });
}

void StickBreakingAttention::attend(const Pass& pass, KvCache& cache, const Buffers& buffers) const {
  const int64_t keys = heads_ * width_, values = heads_ * value_width_;
  store_heads(pass, cache, {buffers.k, keys}, {buffers.v, values});
  CachedAttention call{cache.layout(), nullptr, 0, 0, 0, active_, scale_};
  call.rule = ScoreRule::stick_breaking;
  call.q = buffers.q, call.q_stride = keys * active_;
  call.o = buffers.mixed, call.o_stride = values * active_;
  attend_heads(pass, cache, call);
}

void StickBreakingAttention::run(Pass& pass, State* state, In x, Out y) const {
  const Arena::Frame frame(pass.arena);
  const int64_t keys = heads_ * width_, values = heads_ * value_width_;
  const Buffers buffers = take(pass.arena);
  key_->run(pass, pass.rows, x, {buffers.k, keys});
  value_->run(pass, pass.rows, x, {buffers.v, values});
  // While the need is being measured, one module without rows stands for all.
  const int64_t modules = pass.rows ? modules_ : 1;
  if (router_) {
    router_->choose(pass, x, buffers.probabilities, buffers.chosen, buffers.gates);
    for (int64_t m = 0; m < modules; ++m) ask_module(pass, m, buffers, x);
  } else {
    query_->run(pass, pass.rows, x, {buffers.q, keys});
  }
  if (pass.rows > 0) attend(pass, static_cast<KvCache&>(*state), buffers);
  if (!router_) return out_->run(pass, pass.rows, {buffers.mixed, values}, y);
  if (!y.add)
    for (int64_t r = 0; r < pass.rows; ++r) std::fill_n(y.data + r * y.stride, out_size_, 0.0f);
  for (int64_t m = 0; m < modules; ++m) answer_module(pass, m, buffers, y);
}

FORMWORK_PART(Mixer, StickBreakingAttention, "stick_breaking",
              "stick-breaking attention over a key-value cache, and routed modules");

}  // namespace
}  // namespace formwork::runtime
