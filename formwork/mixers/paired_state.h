// The states of two mixers that read the same tokens; either may be null.
#pragma once
#include <memory>

#include "formwork/core/state.h"

namespace formwork {

struct PairedState final : State {
  PairedState(std::unique_ptr<State> first, std::unique_ptr<State> second)
      : first(std::move(first)), second(std::move(second)) {}
  std::unique_ptr<State> fork(const Tensor& rows) const override {
    return std::make_unique<PairedState>(first ? first->fork(rows) : nullptr,
                                         second ? second->fork(rows) : nullptr);
  }
  void roll_back(int64_t appends) override {
    if (first) first->roll_back(appends);
    if (second) second->roll_back(appends);
  }
  void keep(const Tensor& places, const Tensor& counts) override {
    if (first) first->keep(places, counts);
    if (second) second->keep(places, counts);
  }
  int64_t bytes() const override { return (first ? first->bytes() : 0) + (second ? second->bytes() : 0); }

  std::unique_ptr<State> first, second;
};

}  // namespace formwork
