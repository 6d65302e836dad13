// Key-value cache: keys and values with a length for each row. With a sliding window it forgets what no later
// query can see, so memory stays bounded. A head's tokens lie one after another, as one query reads them.
#pragma once
#include <deque>

#include "formwork/core/state.h"

namespace formwork {

struct KvCacheShape {
  int64_t heads = 0, width = 0, value_width = 0;
  int64_t window = 0;  // keys that a query sees; 0: all
};

class KvCache final : public State {
 public:
  KvCache(const StateOptions& options, const KvCacheShape& shape);
  std::unique_ptr<State> fork(const Tensor& rows) const override;
  // With a window, only the last `reversible` appends can be forgotten.
  void roll_back(int64_t appends) override;
  void keep(const Tensor& places, const Tensor& counts) override;
  int64_t bytes() const override;

  // Adds k [B, n, H, d] and v [B, n, H, dv]; row b keeps its first counts[b] tokens (undefined: all n).
  void append(const Tensor& k, const Tensor& v, const Tensor& counts);
  const Tensor& lengths() const { return lengths_; }  // [B] int64, tokens seen
  bool level() const { return level_; }               // whether all rows have the same length
  int64_t longest() const { return longest_; }
  int64_t rows() const { return lengths_.size(0); }
  // The tokens that are kept: [first, longest) of each row, [B, longest - first, H, d].
  int64_t first() const { return first_; }
  Tensor keys() const { return present(keys_).transpose(1, 2); }
  Tensor values() const { return present(values_).transpose(1, 2); }

 private:
  KvCache() = default;
  void remember();
  void reserve(int64_t tokens);
  int64_t forgettable() const;
  void measure();
  Tensor present(const Tensor& all) const { return all.narrow(2, 0, longest_ - first_); }

  Tensor keys_, values_;     // [B, H, capacity, d], [B, H, capacity, dv]
  Tensor lengths_, before_;  // before_: lengths before the last append, which `keep` goes back to
  int64_t first_ = 0, longest_ = 0, window_ = 0, reversible_ = 0;
  bool level_ = true;
  std::deque<Tensor> history_;  // lengths before each append
};

}  // namespace formwork
