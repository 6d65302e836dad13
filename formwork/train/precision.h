// The number format of matrix products in a pass: float32, or bf16 by autocast (parameters, gradients and
// optimizer stay float32; with bfloat16's range no loss scaling is needed).
#pragma once
#include <string>

#include "formwork/core/autocast.h"
#include "formwork/core/options.h"

namespace formwork {

void describe_precision(Fields& f, std::string& precision);

// In force while it lives, for one pass.
class PrecisionGuard {
 public:
  PrecisionGuard(const std::string& precision, at::DeviceType device)
      : guard_({device, precision == "bf16", at::kBFloat16}) {}

 private:
  AutocastGuard guard_;
};

}  // namespace formwork
