// What a token mixer carries from step to step when decoding: a key-value cache, a recurrent state.
#pragma once
#include <memory>

#include "formwork/core/tensor.h"

namespace formwork {

struct StateOptions {
  int64_t batch = 1;
  int64_t capacity = 0;    // tokens to make room for at once; 0: grow as needed
  int64_t reversible = 0;  // how many of the last appends can be rolled back (recurrent states keep copies)
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
};

class State {
 public:
  virtual ~State() = default;
  // Rows [R] int64 of this state, copied: beams fork and rows leave.
  virtual std::unique_ptr<State> fork(const Tensor& rows) const = 0;
  // Forgets the last `appends` calls of append, as if they had not been made.
  virtual void roll_back(int64_t appends) = 0;
  // Of the last append, keeps of row b the tokens places[b, 0 .. counts[b]) in this order, as if they alone
  // had been appended: places [B, n] int64, counts [B] int64. Refused by states that hold no single tokens;
  // mixers whose states can do it say so by the trait `trees`.
  virtual void keep(const Tensor& places, const Tensor& counts);
  virtual int64_t bytes() const = 0;
};

}  // namespace formwork
