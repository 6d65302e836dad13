// Attention that carries a split of its input (core/split.h). Sharing the values alone (frozen) leaves out
// what a source does through queries and keys. `split` follows those too, but not all: where the relevant
// query is zero, A_rel is uniform whatever the relevant keys are, so that a source that only steers a later
// head's keys shows at that head's key and hardly in its result.
#include "formwork/linear/split_linear.h"
#include "formwork/mixers/attention/attention.h"

namespace formwork {

AttentionMixer::SplitHeads AttentionMixer::project(SplitPass& pass, const Split& x, const Tensor& positions) {
  const int64_t heads = kv_heads_ * group_;
  Split q, k, v;
  if (qkv_) {
    const auto qkv = through(pass, *qkv_, x);
    const std::vector<int64_t> sizes{heads * width_, kv_heads_ * width_, kv_heads_ * value_width_};
    const auto relevant = qkv.relevant.split_with_sizes(sizes, -1),
               rest = qkv.rest.split_with_sizes(sizes, -1);
    q = {relevant[0], rest[0]}, k = {relevant[1], rest[1]}, v = {relevant[2], rest[2]};
  } else {
    q = through(pass, *query_, x), k = through(pass, *key_, x), v = through(pass, *value_, x);
  }
  const auto by_head = [](const Split& y, int64_t count, int64_t width) {
    return Split{y.relevant.unflatten(-1, {count, width}), y.rest.unflatten(-1, {count, width})};
  };
  q = by_head(q, heads, width_), k = by_head(k, kv_heads_, width_), v = by_head(v, kv_heads_, value_width_);
  if (query_norm_) {
    q = pass.through(*query_norm_, path_ + ".query_norm", q);
    k = pass.through(*key_norm_, path_ + ".key_norm", k);
  }
  const auto turned = [&](const Tensor& side) {
    return position_->rotates() ? position_->rotate(pass.ctx(), side, positions) : side;
  };
  return {{turned(q.relevant), turned(k.relevant), v.relevant}, {turned(q.rest), turned(k.rest), v.rest}};
}

Split AttentionMixer::carry(SplitPass& pass, const Split& x) {
  auto& ctx = pass.ctx();
  if (!options_.memory.empty()) fail("{}: facet 'split' is of one stream, and this reads two", path_);
  if (ctx.layout && ctx.layout->packed()) fail("{}: facet 'split' does not take packed rows", path_);
  const Sight sight = all_tokens(ctx, x.rest);
  const auto [relevant, rest] = project(pass, x, sight.query_positions);
  const Heads whole{relevant.q + rest.q, relevant.k + rest.k, relevant.v + rest.v};
  const auto run = AttentionRun::whole(whole.q, whole.k);
  const auto seen = weights(ctx, whole, sight, run);
  Split z;
  if (pass.rules().attention == "frozen") {
    z = {mixed(relevant, run, seen), mixed(rest, run, seen)};
  } else {
    z.relevant = mixed(relevant, run, weights(ctx, relevant, sight, run));
    z.rest = mixed(whole, run, seen) - z.relevant;
  }
  z = pass.repaired({z.relevant.flatten(2), z.rest.flatten(2)}, SplitPlace::mixer);
  return pass.repaired(through(pass, *out_, z), SplitPlace::mixer);
}

}  // namespace formwork
