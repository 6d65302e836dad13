// Token tower: what decoder, encoder and encoder-decoder share. Stem, stack of layers and final norm over
// one stream of tokens:
//
//   x_0 = stem(ids),  x_{i+1} = step_i(x_i),  y = norm(x_last)        x [B, T, D]
#pragma once
#include "formwork/models/stack.h"
#include "formwork/models/tokens.h"
#include "formwork/models/tower_options.h"
#include "formwork/stems/token_stem.h"

namespace formwork {

class TokenTower {
 public:
  // build.in: the stream's axis; build.causal. `embedding`: of another tower, shared; null: one of its own.
  TokenTower(const Build& build, const TowerOptions& options, LinearMap* embedding = nullptr);

  // The stream after the stem; fields of the record as in read_tokens.
  Stream start(Context& ctx, const Record& in, const std::string& prefix);
  void run(Context& ctx, int64_t first, int64_t last, Stream& stream);
  // The final norm.
  Tensor finish(Context& ctx, const Stream& stream);
  Split carry(SplitPass& pass, int64_t first, int64_t last, Split x) const {
    return stack_.carry(pass, first, last, std::move(x));
  }
  Split finish(SplitPass& pass, Head& head, const Split& x) const { return stack_.finish(pass, head, x); }
  // Reads the last stream off through a head.
  void finish(Context& ctx, const Stream& stream, Head& head, Record& out);

  void make_states(const StateOptions& options, ModelState& state) const;
  // Takes the tokens of the record and reads the new positions off through a head.
  Record append(Context& ctx, const Record& in, const std::string& prefix, Head& head, ModelState& state);

  // A head on the last stream; with `tie` it may share the embedding's matrix.
  std::unique_ptr<Head> make_head(const Build& build, const PartSpec& head, bool tie) const;

  LinearMap* embedding() { return stem_.embedding(); }
  const Axis& out() const { return stack_.out(); }
  int64_t size() const { return stack_.size(); }
  std::vector<std::string> segments() const { return stack_.names(); }
  // The field of the record, without prefix, that holds the tokens.
  std::string field() const { return stem_.field(); }

 private:
  Stream embed(Context& ctx, const TokenInput& tokens, const Tensor& positions);

  TokenStem stem_;
  Stack stack_;
};

}  // namespace formwork
