// Which k of n modules a token takes, and with what weight (formwork/channels/router.h says by what rule).
#pragma once
#include "formwork/channels/router_options.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {

class Router {
 public:
  Router(const Scope& scope, const Axis& modules, const RouterOptions& options);
  int64_t active() const { return options_.active; }
  // x [rows, in] -> modules and gates [rows, k], most probable first. `probabilities` [rows, n].
  void choose(Pass& pass, In x, float* probabilities, int32_t* modules, float* gates) const;

 private:
  // Rows of logits: those of modules to choose from, or of modules that were removed.
  struct Rows {
    std::unique_ptr<LinearMap> map;
    std::vector<float> scales;  // of each row, gmm alone
  };
  Rows make_rows(const Scope& scope, const std::string& name, const Dim& in, const Axis& modules) const;
  In hidden(Pass& pass, In x, float* raw, float* hidden) const;
  void logits(Pass& pass, const Rows& rows, In x, float* y) const;
  void choose_row(float* probabilities, const float* removed, int32_t* modules, float* gates) const;

  RouterOptions options_;
  int64_t count_, removed_count_ = 0, hidden_ = 0;
  std::unique_ptr<LinearMap> inner_;
  float temperature_ = 0;  // gmm alone
  Rows router_, removed_;
};

// Calls visit(row, place, slot) for each of `rows` tokens that took `module` as its slot-th of k; places
// count from 0. -> how many they are.
template <class Visit>
int64_t each_that_took(int64_t module, const int32_t* modules, int64_t rows, int64_t k, const Visit& visit) {
  int64_t place = 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < k; ++j)
      if (modules[r * k + j] == module) visit(r, place++, j);
  return place;
}

}  // namespace formwork::runtime
