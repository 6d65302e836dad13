// Autocast: matrix products in a lower precision, while parameters and gradients stay as they are
// (Micikevicius et al., 2018).
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

struct Autocast {
  at::DeviceType device = at::kCPU;
  bool enabled = false;
  at::ScalarType dtype = at::kBFloat16;
  static Autocast current(at::DeviceType device);
};

// In force while it lives (parameters that were cast are kept for as long).
class AutocastGuard {
 public:
  explicit AutocastGuard(const Autocast& autocast);
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  Autocast before_;
};

}  // namespace formwork
