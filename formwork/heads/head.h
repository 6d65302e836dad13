// Heads turn the last stream into the fields of the output record.
#pragma once
#include <map>
#include <string>

#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

using Record = std::map<std::string, Tensor>;

// Built with build.in, the stream's axis, and build.embedding, the map that a tied head shares.
class Head : public Part {
 public:
  static const char* kind() { return "heads"; }
  static const char* noun() { return "head"; }
  // x [B, T, D] after the final norm.
  virtual void forward(Context& ctx, const Tensor& x, Record& out) = 0;
  // Whether outputs are one for each token (and are put back in their places) or one for each row.
  virtual bool per_token() const { return true; }
};

}  // namespace formwork
