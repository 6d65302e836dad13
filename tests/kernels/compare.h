// Helpers for kernel tests: ATen is the oracle, the kernels see raw memory.
#pragma once
#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace formwork {

template <class T>
at::ScalarType scalar_type() {
  return sizeof(T) == 4 ? at::kFloat : at::kDouble;
}

// Relative to the largest element; exact to rounding in double.
template <class T>
double tolerance() {
  return sizeof(T) == 4 ? 2e-6 : 1e-13;
}

// Random doubles that T represents exactly, so that a double oracle sees the same inputs.
template <class T>
at::Tensor random_values(at::IntArrayRef sizes, double scale = 1) {
  return (at::randn(sizes, at::kDouble) * scale).to(scalar_type<T>()).to(at::kDouble);
}

template <class T>
at::Tensor copy_as(const at::Tensor& x) {
  return x.detach().to(scalar_type<T>()).clone(at::MemoryFormat::Contiguous);
}

template <class T>
T* raw(const at::Tensor& x) {
  return x.data_ptr<T>();
}

template <class T>
void expect_near(const at::Tensor& found, const at::Tensor& expected, const char* what, double factor = 1) {
  ASSERT_EQ(found.sizes(), expected.sizes()) << what;
  if (expected.numel() == 0) return;
  const double scale = std::max(1e-3, expected.detach().abs().max().item<double>());
  const double error = (found.to(at::kDouble) - expected.detach()).abs().max().item<double>();
  EXPECT_LE(error, tolerance<T>() * factor * scale) << what << ", sizes " << expected.sizes();
}

using BothTypes = ::testing::Types<float, double>;

}  // namespace formwork
