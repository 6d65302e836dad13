// How the kernels of the integer product are called: once for some rows of x, then for each block of outputs.
#pragma once
#include <cstdint>
#include <vector>

namespace formwork {

inline constexpr int64_t kInt8Block = 16;  // outputs at most

struct Int8Rows {
  const int8_t* x;  // [rows, inputs]
  int64_t rows, inputs;
  std::vector<int32_t> prepared;  // what the kernel made of x
};

struct Int8BlockKernel {
  void (*prepare)(Int8Rows& rows);
  // sums [rows][kInt8Block] = x w^T, w [outputs, inputs].
  void (*multiply)(const Int8Rows& rows, const int8_t* w, int64_t outputs, int32_t* sums);
};

Int8BlockKernel int8_portable_kernel();
// Null functions where the processor lacks the instructions.
Int8BlockKernel int8_vnni_kernel();
Int8BlockKernel int8_amx_kernel();

}  // namespace formwork
