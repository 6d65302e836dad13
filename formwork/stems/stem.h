// Stems turn fields of the input record into the first stream. (Token ids have a stem of their own,
// token_stem.h, whose matrix heads may share.)
#pragma once
#include <string>
#include <vector>

#include "formwork/core/part.h"
#include "formwork/core/record.h"
#include "formwork/core/registry.h"

namespace formwork {

// Built with build.out, the stream's axis.
class Stem : public Part {
 public:
  static const char* kind() { return "stems"; }
  static const char* noun() { return "stem"; }
  // The fields that it takes, under the names that Hugging Face uses; the first must be there.
  virtual std::vector<std::string> fields() const = 0;
  // The stream [B, T, D], and what its tokens mean.
  virtual Stream start(Context& ctx, const Record& in) = 0;
};

// A stem that maps each token of a row alone, so that models of rows (decoder, encoder) may pad, pack and
// continue them, and add positions.
class TokenwiseStem : public Stem {
 public:
  // The field of the tokens, [B, T, F] of floating-point numbers.
  virtual std::string field() const = 0;
  // tokens [B, T, F] -> [B, T, D].
  virtual Tensor embed(Context& ctx, const Tensor& tokens) = 0;

  std::vector<std::string> fields() const override { return {field()}; }
  Stream start(Context& ctx, const Record& in) override;
};

}  // namespace formwork
