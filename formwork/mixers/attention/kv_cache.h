// Key-value cache: keys and values [B, capacity, H, d] with a length for each row.
#pragma once
#include <vector>

#include "formwork/core/state.h"

namespace formwork {

class KvCache final : public State {
 public:
  KvCache(const StateOptions& options, int64_t heads, int64_t width);
  std::unique_ptr<State> fork(const Tensor& rows) const override;
  void roll_back(int64_t appends) override;
  int64_t bytes() const override;

  // Adds k, v [B, n, H, d]; row b keeps its first counts[b] tokens (undefined: all n).
  void append(const Tensor& k, const Tensor& v, const Tensor& counts);
  const Tensor& lengths() const { return lengths_; }  // [B] int64
  int64_t longest() const { return longest_; }
  int64_t rows() const { return lengths_.size(0); }
  Tensor keys() const { return keys_.narrow(1, 0, longest_); }
  Tensor values() const { return values_.narrow(1, 0, longest_); }

 private:
  KvCache() = default;
  void reserve(int64_t tokens);

  Tensor keys_, values_, lengths_;
  int64_t longest_ = 0;
  std::vector<Tensor> history_;  // lengths before each append
};

}  // namespace formwork
