// The number format of matrix products in a pass: float32, or bf16 by autocast (parameters, gradients and
// optimizer stay float32; Micikevicius et al., 2018, with bfloat16's range no loss scaling is needed).
#pragma once
#include <string>

#include "formwork/core/options.h"
#include "formwork/core/tensor.h"

namespace formwork {

void describe_precision(Fields& f, std::string& precision);

// In force while it lives, for one pass (parameters cast to bf16 are kept for its length).
class PrecisionGuard {
 public:
  PrecisionGuard(const std::string& precision, at::DeviceType device);
  ~PrecisionGuard();
  PrecisionGuard(const PrecisionGuard&) = delete;
  PrecisionGuard& operator=(const PrecisionGuard&) = delete;

 private:
  at::DeviceType device_;
  bool was_enabled_;
  at::ScalarType was_dtype_;
};

}  // namespace formwork
