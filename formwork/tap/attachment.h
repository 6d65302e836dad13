// Attachments: trainable parts added to a tap by the Spec's "attach" table: x becomes what the part returns.
#pragma once
#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

// Built with build.in = the axis of the tapped tensor.
class Attachment : public Part {
 public:
  static const char* kind() { return "attachments"; }
  static const char* noun() { return "attachment"; }
  virtual Tensor forward(Context& ctx, const Tensor& x) = 0;
};

// Builds every attachment that the Spec names, after the model's own parts.
void attach_parts(const Build& root);

}  // namespace formwork
