// What an independent implementation computed once: tests/parity/NAME.safetensors, written by
// tools/parity/NAME.py, so that no other software is needed to compare with it.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>

#include "formwork/interop/safetensors.h"
#include "formwork/models/model.h"

namespace formwork {

inline TensorMap parity_fixture(const std::string& name) {
  const char* root = std::getenv("FORMWORK_SOURCE");
  return read_safetensors(std::filesystem::path(root ? root : ".") / "tests/parity" /
                          (name + ".safetensors"));
}

// Gives every parameter of the model the value that `find` returns for its name.
inline void fill(Model& model, const std::function<at::Tensor(const std::string& name)>& find) {
  const at::NoGradGuard guard;
  for (auto& param : model.inventory().params) param.value.copy_(find(param.name).view(param.value.sizes()));
}

inline double largest_gap(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

// Checks that a and b differ by less than `bound`, and records by how much in the test's report.
inline void expect_parity(const std::string& what, const at::Tensor& a, const at::Tensor& b, double bound) {
  const double gap = largest_gap(a, b);
  testing::Test::RecordProperty(what, fmt::format("{:.2g}", gap));
  EXPECT_LT(gap, bound) << what;
}

// The name with the first occurrence of each left side replaced.
inline std::string renamed(std::string name,
                           const std::vector<std::pair<std::string, std::string>>& replacements) {
  for (const auto& [from, to] : replacements)
    if (const auto at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  return name;
}

}  // namespace formwork
