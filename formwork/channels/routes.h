// The pairs of a token and a module that it takes, sorted by module, so that each module multiplies its rows
// at once. Within a module first choices stand first, then tokens in order.
#pragma once
#include <vector>

#include "formwork/core/tensor.h"

namespace formwork {

class Routes {
 public:
  // modules [N, k] int64 of `count`; a module takes at most `limit` pairs, the first of them (-1: all).
  Routes(const Tensor& modules, int64_t count, int64_t limit = -1);

  int64_t size() const { return pairs_.size(0); }                 // C <= N k
  const std::vector<int64_t>& counts() const { return counts_; }  // pairs of each module
  // Rows in sorted order, of the token (x [N, D]) or of the pair (x [N, k, D]) -> [C, D].
  Tensor gather(const Tensor& x) const;
  // The way back: rows [C, D] -> [N, k, D]; needs all pairs (no limit).
  Tensor scatter(const Tensor& rows) const;
  // Sum over each token's pairs of gate times row: rows [C, D], gates [N, k] -> [N, D].
  Tensor combine(const Tensor& rows, const Tensor& gates) const;

 private:
  int64_t tokens_, active_;
  Tensor pairs_;  // [C], choice * N + token
  std::vector<int64_t> counts_;
};

}  // namespace formwork
