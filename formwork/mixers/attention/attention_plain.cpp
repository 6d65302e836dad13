// Attention by its formula, for whatever the fused kernels do not take: other scores, wanted weights, dropout
// on weights, other types and devices, second derivatives.
#include "formwork/mixers/attention/attention.h"

namespace formwork {

Tensor AttentionMixer::plain(Context& ctx, const Heads& heads, const Sight& sight) {
  if (sight.starts.defined()) return plain_run(ctx, heads, sight, AttentionRun::whole(heads.q, heads.k));
  if (sight.runs.size() == 1) return plain_run(ctx, heads, sight, sight.runs[0]);
  std::vector<Tensor> parts;
  for (const auto& run : sight.runs) parts.push_back(plain_run(ctx, heads, sight, run));
  return at::cat(parts, 1);
}

Tensor AttentionMixer::permitted(const AttentionRun& run, const Sight& sight, const Tensor& like) const {
  auto q = token_places(like, run.place, run.queries).unsqueeze(-1);  // [1, Tq, 1]
  if (sight.starts.defined()) q = q + sight.starts.view({-1, 1, 1});
  const auto k = token_places(like, 0, run.keys).unsqueeze(0);  // [1, 1, Tk]
  const auto of_rows = [&](const Tensor& lengths) {
    return lengths.narrow(0, run.sequence, run.rows).view({-1, 1, 1});
  };
  Tensor allow;  // [B|1, Tq, Tk]
  const auto both = [&](const Tensor& rule) { allow = allow.defined() ? allow.logical_and(rule) : rule; };
  if (sight.tree) {
    both(permitted_in_tree(sight, run.keys));
  } else {
    if (causal_) both(k <= q);
    if (options_.window) both((q - k).abs() < options_.window);
  }
  if (causal_ && sight.prefix.defined()) allow = allow.logical_or(k < of_rows(sight.prefix));
  if (sight.key_lengths.defined()) both((k < of_rows(sight.key_lengths)).expand({-1, run.queries, -1}));
  return allow.defined() ? allow.unsqueeze(1) : allow;
}

Tensor AttentionMixer::permitted_in_tree(const Sight& sight, int64_t keys) const {
  const auto& tree = *sight.tree;
  const auto before = sight.before.defined() ? sight.before : at::zeros({1}, tree.depths().options());
  const auto seen = tree.seen(before, keys);
  if (!options_.window) return seen;
  // A window counts the tokens of one continuation, not those beside it.
  const auto distance =
      (before.view({-1, 1}) + tree.depths()).unsqueeze(2) - tree.places(before, keys).unsqueeze(1);
  return seen.logical_and(distance < options_.window);
}

namespace {

// The tokens [first, first + count) of a run's rows.
Tensor cut(const AttentionRun& run, const Tensor& x, int64_t first, int64_t count) {
  const auto rows = x.size(0) == 1 ? x : x.narrow(0, run.row, run.rows);
  return rows.narrow(1, first, count);
}

}  // namespace

Tensor AttentionMixer::weights(Context& ctx, const Heads& heads, const Sight& sight,
                               const AttentionRun& run) {
  // Queries of a group stand below each other, so that shared keys are not repeated.
  const auto q = cut(run, heads.q, run.query, run.queries).unflatten(2, {kv_heads_, group_});
  const auto k = cut(run, heads.k, run.key, run.keys).permute({0, 2, 3, 1});
  const int64_t below = group_ * run.queries, all = kv_heads_ * group_;
  auto logits = q.permute({0, 2, 3, 1, 4}).reshape({run.rows, kv_heads_, below, width_}).matmul(k) * scale_;
  logits = logits.view({run.rows, all, run.queries, run.keys});
  if (position_->biases())
    logits = logits + position_
                          ->bias(ctx, cut(run, sight.query_positions, run.query, run.queries),
                                 cut(run, sight.key_positions, run.key, run.keys))
                          .to(logits.scalar_type());
  const auto seen = score_->weights(ctx, logits, permitted(run, sight, logits));
  return ctx.dropout(path_ + ".dropout", ctx.tap(weights_tap_, seen), options_.dropout);
}

Tensor AttentionMixer::mixed(const Heads& heads, const AttentionRun& run, const Tensor& weights) const {
  const auto v = cut(run, heads.v, run.key, run.keys).transpose(1, 2);
  const int64_t below = group_ * run.queries, all = kv_heads_ * group_;
  const auto seen = weights.reshape({run.rows, kv_heads_, below, run.keys});
  return seen.matmul(v).view({run.rows, all, run.queries, value_width_}).transpose(1, 2);
}

Tensor AttentionMixer::plain_run(Context& ctx, const Heads& heads, const Sight& sight,
                                 const AttentionRun& run) {
  return mixed(heads, run, weights(ctx, heads, sight, run));
}

TokenMatrix AttentionMixer::matrix(Context& ctx, const Tensor& x) {
  if (!options_.memory.empty()) fail("{}: facet 'matrix' is of one stream, and this reads two", path_);
  if (ctx.layout && ctx.layout->packed()) fail("{}: facet 'matrix' does not take packed rows", path_);
  const Sight sight = all_tokens(ctx, x);
  const Heads heads = project(ctx, x, sight.query_positions);
  return {weights(ctx, heads, sight, AttentionRun::whole(heads.q, heads.k)),
          heads.v.transpose(1, 2).repeat_interleave(group_, 1),
          [this, &ctx](const Tensor& mixed) { return out_->forward(ctx, mixed.transpose(1, 2).flatten(2)); }};
}

}  // namespace formwork
