// What a token mixer carries from pass to pass for each sequence.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "formwork/kernels/cpu/cached_attention.h"

namespace formwork::runtime {

struct StateOptions {
  int64_t rows = 1;      // sequences at first
  int64_t capacity = 0;  // tokens of a sequence to make room for at once
  CacheType cache = CacheType::float32;
  int64_t reversible = 0;  // how many of the last passes may be taken back (recurrent states keep copies)
};

class State {
 public:
  virtual ~State() = default;
  // Sequence i is from now on a copy of what sequence rows[i] was.
  virtual void select(const std::vector<int64_t>& rows) = 0;
  // Forgets all but the first `tokens` tokens of a sequence. Throws Error where that is not kept.
  virtual void truncate(int64_t row, int64_t tokens) = 0;
  virtual int64_t bytes() const = 0;
};

}  // namespace formwork::runtime
