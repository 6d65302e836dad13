// Attention over a key-value cache: multi-head, grouped or single keys, window, QK-norm, positions, scores.
#include <cmath>

#include "formwork/kernels/cpu/parallel.h"
#include "formwork/kernels/cpu/rotary.h"
#include "formwork/mixers/attention/attention_options.h"
#include "formwork/runtime/linear_map.h"
#include "formwork/runtime/mixers/cached_heads.h"
#include "formwork/runtime/mixers/score.h"
#include "formwork/runtime/positions/mixer_position.h"

namespace formwork::runtime {
namespace {

class Attention final : public Mixer {
 public:
  using Options = AttentionOptions;

  Attention(Scope& scope, const Options& options);
  std::unique_ptr<State> make_state(const StateOptions& options) const override;
  void run(Pass& pass, State* state, In x, Out y) const override;

 private:
  struct Buffers {
    float *qkv, *context, *cosines, *sines, *spare;
  };
  void build_maps(Scope& scope, const Options& options, const Axis& kv, const Axis& group, const Axis& qk,
                  const Axis& vo);
  void project(Pass& pass, In x, const Buffers& buffers) const;
  void turn(const Pass& pass, const Buffers& buffers, int64_t first, int64_t last) const;
  void attend(const Pass& pass, KvCache& cache, const Buffers& buffers) const;
  int64_t heads() const { return kv_heads_ * group_; }
  int64_t key_at() const { return heads() * width_; }
  int64_t value_at() const { return key_at() + kv_heads_ * width_; }
  int64_t wide() const { return value_at() + kv_heads_ * value_width_; }

  int64_t kv_heads_, group_, width_, value_width_, window_;
  double scale_;
  std::unique_ptr<LinearMap> qkv_, query_, key_, value_, out_;
  std::unique_ptr<MixerPosition> position_;
  std::unique_ptr<Score> score_;
  std::unique_ptr<Norm> query_norm_, key_norm_;
};

Attention::Attention(Scope& scope, const Options& options) : window_(options.window) {
  if (!options.memory.empty())
    refuse_form(scope.path(), "attention to another stream ('{}')", options.memory);
  const int64_t kv_heads = options.kv_heads ? options.kv_heads : options.heads, width = scope.in.asked();
  if (options.heads % kv_heads)
    fail("{}: {} query heads cannot share {} key-value heads evenly", scope.path(), options.heads, kv_heads);
  if (!options.head_width && width % options.heads)
    fail("{}: width {} is not divisible by {} heads; choose heads or head_width", scope.path(), width,
         options.heads);
  const int64_t head_width = options.head_width ? options.head_width : width / options.heads;
  const Axis kv = scope.axis("kv_heads", kv_heads), group = scope.axis("group", options.heads / kv_heads),
             qk = scope.axis("qk_width", head_width), vo = scope.axis("v_width", head_width);
  kv_heads_ = kv.size, group_ = group.size, width_ = qk.size, value_width_ = vo.size;
  scale_ = options.scale > 0 ? options.scale : 1 / std::sqrt(static_cast<double>(head_width));
  Scope place = scope.at("position");
  place.in = place.out = qk;
  place.heads = {kv, group};
  position_ = Registry<MixerPosition>::make(place, options.position);
  Scope score = scope.at("score");
  score_ = Registry<Score>::make(score, options.score);
  build_maps(scope, options, kv, group, qk, vo);
  if (!options.qk_norm) return;
  Scope q = scope.at("query_norm"), k = scope.at("key_norm");
  q.in = q.out = k.in = k.out = qk;
  query_norm_ = Registry<Norm>::make(q, options.qk_norm);
  key_norm_ = Registry<Norm>::make(k, options.qk_norm);
}

void Attention::build_maps(Scope& scope, const Options& options, const Axis& kv, const Axis& group,
                           const Axis& qk, const Axis& vo) {
  const std::vector<Axis> query{kv, group, qk}, key{kv, qk}, value{kv, vo}, context{kv, group, vo};
  if (options.fused) {
    qkv_ = make_linear(scope, "qkv", {scope.in, Dim::concat({query, key, value}), options.bias});
  } else {
    query_ = make_linear(scope, "query", {scope.in, Dim::product(query), options.bias});
    key_ = make_linear(scope, "key", {scope.in, Dim::product(key), options.bias});
    value_ = make_linear(scope, "value", {scope.in, Dim::product(value), options.bias});
  }
  out_ = make_linear(scope, "out", {Dim::product(context), scope.out, options.out_bias});
}

std::unique_ptr<State> Attention::make_state(const StateOptions& options) const {
  return std::make_unique<KvCache>(CacheLayout{options.cache, kv_heads_, width_, value_width_}, window_,
                                   options);
}

void Attention::project(Pass& pass, In x, const Buffers& buffers) const {
  if (qkv_) return qkv_->run(pass, pass.rows, x, {buffers.qkv, wide()});
  query_->run(pass, pass.rows, x, {buffers.qkv, wide()});
  key_->run(pass, pass.rows, x, {buffers.qkv + key_at(), wide()});
  value_->run(pass, pass.rows, x, {buffers.qkv + value_at(), wide()});
}

// Norms and turns queries and keys, of rows [first, last).
void Attention::turn(const Pass& pass, const Buffers& buffers, int64_t first, int64_t last) const {
  const int64_t pairs = position_->turned() / 2;
  for (int64_t r = first; r < last; ++r) {
    float* q = buffers.qkv + r * wide();
    float* k = q + key_at();
    if (query_norm_) {
      float* spare = buffers.spare + r * heads();
      query_norm_->run(heads(), q, q, spare);
      key_norm_->run(kv_heads_, k, k, spare);
    }
    if (pairs == 0) continue;
    float *cosines = buffers.cosines + r * pairs, *sines = buffers.sines + r * pairs;
    position_->table(pass.positions[r], cosines, sines);
    formwork::Rotary shape{1, 1, heads() + kv_heads_, 2 * pairs, 0, 0, width_};
    shape.layout = position_->halves() ? RotaryLayout::halves : RotaryLayout::interleaved;
    rotary_forward<float>(shape, cosines, sines, q);
  }
}

void Attention::attend(const Pass& pass, KvCache& cache, const Buffers& buffers) const {
  const float* rows = buffers.qkv;
  store_heads(pass, cache, {rows + key_at(), wide()}, {rows + value_at(), wide()});
  CachedAttention call{cache.layout(), nullptr, 0, 0, 0, group_, static_cast<float>(scale_)};
  call.window = window_, call.cap = static_cast<float>(score_->cap()), call.rule = score_->rule();
  call.slopes = position_->slopes(), call.bias = position_->bias(), call.reach = position_->reach();
  call.q = rows, call.q_stride = wide();
  call.o = buffers.context, call.o_stride = heads() * value_width_;
  attend_heads(pass, cache, call);
}

void Attention::run(Pass& pass, State* state, In x, Out y) const {
  const Arena::Frame frame(pass.arena);
  const int64_t pairs = position_->turned() / 2, mixed = heads() * value_width_;
  const Buffers buffers{pass.arena.take(wide()), pass.arena.take(mixed), pass.arena.take(pairs),
                        pass.arena.take(pairs), pass.arena.take(query_norm_ ? heads() : 0)};
  project(pass, x, buffers);
  if (pass.rows > 0) {
    parallel_for(0, pass.rows, 8, [&](int64_t first, int64_t last) { turn(pass, buffers, first, last); });
    attend(pass, static_cast<KvCache&>(*state), buffers);
  }
  out_->run(pass, pass.rows, {buffers.context, mixed}, y);
}

FORMWORK_PART(Mixer, Attention, "attention", "attention over a key-value cache");

}  // namespace
}  // namespace formwork::runtime
