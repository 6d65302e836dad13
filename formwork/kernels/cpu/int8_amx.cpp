// The integer product by AMX tiles. A tile of 16 weight rows and 64 inputs is read where it lies, as the left
// factor, so sums come out as [16 outputs][16 rows of x]; only x is reordered, into right factors of 16 rows
// and 64 inputs, four inputs of a row side by side.
#include "formwork/kernels/cpu/int8_block.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>

#include <cstring>

#include "formwork/kernels/cpu/amx_tiles.h"

namespace formwork {
namespace {

constexpr int64_t kRows = 16, kInputs = 64, kWords = 256;  // of a tile

int64_t parts(int64_t size, int64_t part) { return (size + part - 1) / part; }

// prepared [ceil(rows / 16)][ceil(inputs / 64)][16 fours of inputs][16 rows][4], zero-padded.
void prepare(Int8Rows& rows) {
  const int64_t steps = parts(rows.inputs, kInputs);
  rows.prepared.assign(parts(rows.rows, kRows) * steps * kWords, 0);
  for (int64_t n = 0; n < rows.rows; ++n) {
    const int8_t* row = rows.x + n * rows.inputs;
    int32_t* to = rows.prepared.data() + n / kRows * steps * kWords + n % kRows;
    for (int64_t i = 0; i < rows.inputs; i += 4)
      std::memcpy(to + i / 4 * kRows, row + i, std::min<int64_t>(4, rows.inputs - i));
  }
}

struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64};
  uint8_t row_count[16] = {16, 16, 16, 16, 16, 16};
};

// Tiles 0 to 3: sums of up to 64 rows of x; tile 4: weights; tile 5: x.
[[gnu::target("amx-tile,amx-int8")]] void multiply_tiles(const int32_t* x, int64_t steps, int64_t groups,
                                                         const int8_t* w, int64_t stride, const int8_t* tail,
                                                         int32_t* sums) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  const auto at = [&](int64_t group, int64_t k) { return x + (group * steps + k) * kWords; };
  for (int64_t k = 0; k < steps; ++k) {
    if (tail && k == steps - 1)
      _tile_loadd(4, tail, kInputs);
    else
      _tile_loadd(4, w + k * kInputs, stride);
    _tile_loadd(5, at(0, k), 64);
    _tile_dpbssd(0, 4, 5);
    if (groups > 1) {
      _tile_loadd(5, at(1, k), 64);
      _tile_dpbssd(1, 4, 5);
    }
    if (groups > 2) {
      _tile_loadd(5, at(2, k), 64);
      _tile_dpbssd(2, 4, 5);
    }
    if (groups > 3) {
      _tile_loadd(5, at(3, k), 64);
      _tile_dpbssd(3, 4, 5);
    }
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + kWords, 64);
  _tile_stored(2, sums + 2 * kWords, 64);
  _tile_stored(3, sums + 3 * kWords, 64);
}

// 16 weight rows, the last 64 inputs zero-padded: what a tile would read past the end.
void copy_tail(const int8_t* w, int64_t outputs, int64_t inputs, int8_t* tail) {
  const int64_t first = (parts(inputs, kInputs) - 1) * kInputs;
  std::memset(tail, 0, kRows * kInputs);
  for (int64_t o = 0; o < outputs; ++o)
    std::memcpy(tail + o * kInputs, w + o * inputs + first, inputs - first);
}

[[gnu::target("amx-tile")]] void multiply(const Int8Rows& rows, const int8_t* w, int64_t outputs,
                                          int32_t* sums) {
  const int64_t inputs = rows.inputs, steps = parts(inputs, kInputs), groups = parts(rows.rows, kRows);
  TileShapes shapes;
  shapes.row_count[4] = static_cast<uint8_t>(outputs);
  for (int tile = 0; tile < 4; ++tile) shapes.row_count[tile] = static_cast<uint8_t>(outputs);
  _tile_loadconfig(&shapes);
  alignas(64) int8_t tail[kRows * kInputs];
  if (inputs % kInputs) copy_tail(w, outputs, inputs, tail);
  alignas(64) int32_t turned[4 * kWords];
  for (int64_t group = 0; group < groups; group += 4) {
    multiply_tiles(rows.prepared.data() + group * steps * kWords, steps, std::min<int64_t>(4, groups - group),
                   w, inputs, inputs % kInputs ? tail : nullptr, turned);
    const int64_t first = group * kRows, count = std::min<int64_t>(64, rows.rows - first);
    for (int64_t n = 0; n < count; ++n)
      for (int64_t o = 0; o < outputs; ++o)
        sums[(first + n) * kInt8Block + o] = turned[(n / kRows * kRows + o) * kRows + n % kRows];
  }
  _tile_release();
}

}  // namespace

Int8BlockKernel int8_amx_kernel() {
  static const bool runs = amx_available(25);
  return runs ? Int8BlockKernel{prepare, multiply} : Int8BlockKernel{nullptr, nullptr};
}

}  // namespace formwork

#else
namespace formwork {
Int8BlockKernel int8_amx_kernel() { return {nullptr, nullptr}; }
}  // namespace formwork
#endif
