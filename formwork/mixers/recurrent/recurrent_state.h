// The state of a recurrent mixer: a few tensors [B, ...] that each append replaces. To roll back, the tensors
// before the last appends are kept (StateOptions::reversible of them).
#pragma once
#include <deque>
#include <vector>

#include "formwork/core/state.h"

namespace formwork {

class RecurrentState final : public State {
 public:
  RecurrentState(std::vector<Tensor> values, int64_t reversible)
      : values_(std::move(values)), reversible_(reversible) {}
  std::unique_ptr<State> fork(const Tensor& rows) const override;
  void roll_back(int64_t appends) override;
  int64_t bytes() const override;  // with the kept copies

  const Tensor& value(size_t i) const { return values_[i]; }
  // Checks that x [B, n, ...] has this state's rows; `path` is named in the error.
  void check_rows(const std::string& path, const Tensor& x) const;
  void advance(std::vector<Tensor> next);

 private:
  std::vector<Tensor> values_;
  std::deque<std::vector<Tensor>> history_;  // before each of the last appends
  int64_t reversible_;
};

}  // namespace formwork
