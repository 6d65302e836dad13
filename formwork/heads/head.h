// Heads turn the last stream into the fields of the output record.
#pragma once
#include <string>

#include "formwork/core/part.h"
#include "formwork/core/record.h"
#include "formwork/core/registry.h"

namespace formwork {

// Built with build.in, the stream's axis, build.input, the tap that it is read at (-1: none), and
// build.embedding, the map that a tied head shares.
class Head : public Part {
 public:
  static const char* kind() { return "heads"; }
  static const char* noun() { return "head"; }
  // x [B, T, D] after the final norm.
  virtual void forward(Context& ctx, const Tensor& x, Record& out) = 0;
  // Whether a field that it writes has an entry for each token (which are put back in their places) or one
  // for each row.
  virtual bool per_token(const std::string& field) const { return true; }
};

}  // namespace formwork
