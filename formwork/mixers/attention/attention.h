// Softmax attention (Vaswani et al., 2017) with multi-head, grouped (Ainslie et al., 2023) or single
// (Shazeer, 2019) keys and values; causal or not; over its own stream or another (cross attention); sliding
// window; queries and keys normalized per head (Henry et al., 2020) or not; any score and position part.
//
//   y = concat_h( weights(q_h k_h^T * scale + bias) v_h ) W_o       x [B, T, D], q_h [B, T, d]
//
// Causality and the window go by the order of tokens, or by the tree that they form (which is not fused),
// positions by layout.positions. Where the score is
// softmax and nobody asks for the weights, CPU float32 takes the fused kernels.
#pragma once
#include "formwork/core/facet.h"
#include "formwork/linear/linear_map.h"
#include "formwork/mixers/attention/attention_options.h"
#include "formwork/mixers/attention/fused.h"
#include "formwork/mixers/token_mixer.h"
#include "formwork/norms/norm.h"
#include "formwork/positions/position.h"
#include "formwork/scores/score.h"

namespace formwork {

class AttentionMixer final : public TokenMixer, public CostFacet, public MatrixFacet, public SplitFacet {
 public:
  using Options = AttentionOptions;

  AttentionMixer(Build& build, const Options& options);
  Traits traits() const override;
  std::unique_ptr<State> make_state(const StateOptions& options) const override;
  Tensor append(Context& ctx, const Tensor& x, State* state) override;
  // Scores and weighted values; the projections count themselves.
  double flops_per_token(int64_t context) const override;
  TokenMatrix matrix(Context& ctx, const Tensor& x) override;
  Split carry(SplitPass& pass, const Split& x) override;

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override;
  Tensor mix_packed(Context& ctx, const Tensor& x) override;

 private:
  struct Heads {
    Tensor q, k, v;  // [B, Tq, H, d], [B, Tk, Hkv, d], [B, Tk, Hkv, dv]
  };
  struct SplitHeads {
    Heads relevant, rest;
  };
  // What queries may see: in terms of tokens (runs, lengths, prefix) and of positions.
  struct Sight {
    std::vector<AttentionRun> runs;
    Tensor key_lengths, prefix;  // [B], or [sequences] for packed rows; or undefined
    Tensor starts;               // [B] place of each row's first query, where they differ
    // [B|1, T]; those of keys may be left out where the kernels take the heads
    Tensor query_positions, key_positions;
    bool consecutive = true;          // positions differ as places do
    const TokenTree* tree = nullptr;  // of the queries; null: each follows the one before it
    Tensor before;                    // [B|1] keys before the tree; undefined: none
  };
  void build_maps(Build& build, const Axis& kv, const Axis& group, const Axis& qk, const Axis& vo);
  Tensor queries(Context& ctx, const Tensor& x);
  std::pair<Tensor, Tensor> keys_values(Context& ctx, const Tensor& x);
  // Projects, normalizes and turns.
  Heads project(Context& ctx, const Tensor& x, const Tensor& positions);
  Heads split(Context& ctx, Tensor qkv, const Tensor& positions);
  SplitHeads project(SplitPass& pass, const Split& x, const Tensor& positions);
  Sight all_tokens(const Context& ctx, const Tensor& x) const;          // of one stream, nothing cached
  Tensor attend(Context& ctx, const Heads& heads, const Sight& sight);  // -> [B, Tq, out]
  // As project and attend, in one operation where the kernels allow it.
  Tensor attend_self(Context& ctx, const Tensor& x, const Sight& sight);
  Tensor attend_memory(Context& ctx, const Tensor& x, const Tensor& k, const Tensor& v);
  bool is_plain_softmax(const Context& ctx) const;
  bool can_fuse(const Context& ctx, const Heads& heads, const Sight& sight) const;
  AttentionPlan plan_for(const Sight& sight) const;
  Tensor fused(Context& ctx, const Heads& heads, const Sight& sight);  // -> [B, Tq, H, dv]
  Tensor plain(Context& ctx, const Heads& heads, const Sight& sight);  // -> [B, Tq, H, dv]
  // Weights of a run times its values -> [rows, Tq, H, dv].
  Tensor mixed(const Heads& heads, const AttentionRun& run, const Tensor& weights) const;
  Tensor plain_run(Context& ctx, const Heads& heads, const Sight& sight, const AttentionRun& run);
  // [rows, H, Tq, Tk] of a run.
  Tensor weights(Context& ctx, const Heads& heads, const Sight& sight, const AttentionRun& run);
  Tensor permitted(const AttentionRun& run, const Sight& sight, const Tensor& like) const;
  // [B|1, Tq, Tk] of a tree.
  Tensor permitted_in_tree(const Sight& sight, int64_t keys) const;

  Options options_;
  bool causal_;
  std::string path_;
  int64_t kv_heads_, group_, width_, value_width_;
  double scale_;
  std::unique_ptr<LinearMap> qkv_, query_, key_, value_, out_;
  std::unique_ptr<Position> position_;
  std::unique_ptr<Score> score_;
  std::unique_ptr<Norm> query_norm_, key_norm_;
  Slot memory_tap_ = -1, weights_tap_;
};

// Places first .. first + count - 1, [1, count] int64 on the device of x.
Tensor token_places(const Tensor& x, int64_t first, int64_t count);

}  // namespace formwork
