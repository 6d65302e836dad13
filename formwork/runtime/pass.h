// One pass of the model over some tokens: rows of numbers, of which each sequence has some neighbours.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "formwork/runtime/arena.h"

namespace formwork::runtime {

// Tokens [start, start + count) of the sequence in place `row` of every state; they are rows [first, first +
// count) of the pass.
struct Sequence {
  int64_t row, first, count, start;
};

struct Pass {
  Arena& arena;
  int64_t rows = 0;
  std::span<const Sequence> sequences = {};
  const int64_t* ids = nullptr;        // [rows]
  const int64_t* positions = nullptr;  // [rows], from 0
  // Every sequence adds so many tokens that large products may be summed in another order than those of few
  // rows.
  bool many = false;
};

// Rows of floats, `stride` apart.
struct In {
  const float* data;
  int64_t stride;
};
struct Out {
  float* data;
  int64_t stride;
  bool add = false;  // whether to add to what is there
};

}  // namespace formwork::runtime
