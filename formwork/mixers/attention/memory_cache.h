// Keys and values of another stream ("memory"), projected once and read at every step.
#pragma once
#include "formwork/core/state.h"

namespace formwork {

struct MemoryCache final : State {
  Tensor k, v;  // [B, T, H, d], [B, T, H, dv]; undefined before the first step

  std::unique_ptr<State> fork(const Tensor& rows) const override {
    auto copy = std::make_unique<MemoryCache>();
    if (k.defined()) copy->k = k.index_select(0, rows), copy->v = v.index_select(0, rows);
    return copy;
  }
  void roll_back(int64_t) override {}
  void keep(const Tensor&, const Tensor&) override {}
  int64_t bytes() const override { return k.defined() ? static_cast<int64_t>(k.nbytes() + v.nbytes()) : 0; }
};

}  // namespace formwork
