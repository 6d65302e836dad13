// Stems turn fields of the input record into the first stream. (Tokens have a stem of their own,
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

}  // namespace formwork
