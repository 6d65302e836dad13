#include "formwork/interop/raw_layout.h"

#include <algorithm>
#include <cstring>

#include "formwork/core/error.h"
#include "formwork/kernels/cpu/parallel.h"

namespace formwork {
namespace {

const std::byte* bytes_of(const Raw& raw) { return static_cast<const std::byte*>(raw.data); }

// Bytes of one row of the first dimension.
int64_t row_bytes(const Raw& raw) { return raw.shape.at(0) == 0 ? 0 : raw.bytes() / raw.shape[0]; }

// One of many copies that are done at once.
struct Copy {
  std::byte* to;
  const std::byte* from;
  int64_t bytes;
};

void copy_all(const std::vector<Copy>& copies) {
  // Large ones are cut, so that threads have equal shares.
  constexpr int64_t kMost = 1 << 20;
  std::vector<Copy> cut;
  for (const auto& copy : copies)
    for (int64_t at = 0; at < copy.bytes; at += kMost)
      cut.push_back({copy.to + at, copy.from + at, std::min(kMost, copy.bytes - at)});
  parallel_for(0, static_cast<int64_t>(cut.size()), 1, [&](int64_t first, int64_t last) {
    for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i)
      std::memcpy(cut[i].to, cut[i].from, static_cast<size_t>(cut[i].bytes));
  });
}

// Tiles, so that both sides are read and written by whole cache lines.
template <class T>
void transpose(const T* from, T* to, int64_t rows, int64_t columns) {
  constexpr int64_t kTile = 32;
  const int64_t tiles = (columns + kTile - 1) / kTile;
  parallel_for(0, tiles, 1, [&](int64_t first, int64_t last) {
    for (int64_t row = 0; row < rows; row += kTile)
      for (int64_t column = first * kTile; column < std::min(columns, last * kTile); ++column)
        for (int64_t r = row; r < std::min(rows, row + kTile); ++r)
          to[column * rows + r] = from[r * columns + column];
  });
}

Raw shape_alone(Dtype dtype, std::vector<int64_t> shape) { return {dtype, std::move(shape)}; }

}  // namespace

Raw mapped_raw(Raw raw) {
  const auto address = reinterpret_cast<uintptr_t>(raw.data);
  if (address % static_cast<size_t>(dtype_bytes(raw.dtype)) == 0) return raw;
  auto made = new_raw(raw.dtype, raw.shape);
  copy_all({{made.data, bytes_of(raw), raw.bytes()}});
  return made.raw;
}

Raw whole(const Raw& raw) {
  if (raw.pieces.empty()) return raw;
  auto made = new_raw(raw.dtype, raw.shape);
  std::vector<Copy> copies;
  auto* to = made.data;
  for (const auto& piece : raw.pieces) {
    copies.push_back({to, bytes_of(piece), piece.bytes()});
    to += piece.bytes();
  }
  copy_all(copies);
  return made.raw;
}

Raw with_shape(Raw raw, std::vector<int64_t> shape) {
  raw.shape = std::move(shape);
  return raw;
}

Raw rows_of(const Raw& raw, int64_t first, int64_t count) {
  Raw rows = raw;
  rows.shape.at(0) = count;
  if (raw.data) rows.data = bytes_of(raw) + first * row_bytes(raw);
  return rows;
}

Raw in_pieces(const std::vector<Raw>& parts, std::vector<int64_t> shape) {
  Raw all = shape_alone(parts.at(0).dtype, std::move(shape));
  for (const auto& part : parts) {
    if (part.dtype != all.dtype)
      fail("expected tensors of one type, found {} and {}", dtype_name(all.dtype), dtype_name(part.dtype));
    if (part.pieces.empty())
      all.pieces.push_back(part);
    else
      all.pieces.insert(all.pieces.end(), part.pieces.begin(), part.pieces.end());
  }
  if (!std::all_of(parts.begin(), parts.end(), [](const Raw& part) { return part.has_values(); }))
    all.pieces.clear();
  return all;
}

Raw transposed(const Raw& matrix) {
  const int64_t rows = matrix.shape.at(0), columns = matrix.shape.at(1);
  if (!matrix.has_values()) return shape_alone(matrix.dtype, {columns, rows});
  const Raw from = whole(matrix);
  auto made = new_raw(matrix.dtype, {columns, rows});
  const auto turn = [&]<class T>(T*) {
    transpose(static_cast<const T*>(from.data), reinterpret_cast<T*>(made.data), rows, columns);
  };
  switch (dtype_bytes(matrix.dtype)) {
    case 1:
      turn(static_cast<uint8_t*>(nullptr));
      break;
    case 2:
      turn(static_cast<uint16_t*>(nullptr));
      break;
    case 4:
      turn(static_cast<uint32_t*>(nullptr));
      break;
    default:
      turn(static_cast<uint64_t*>(nullptr));
  }
  return made.raw;
}

Raw with_swapped_blocks(const Raw& raw, int64_t outer, int64_t inner, int64_t block) {
  if (!raw.has_values()) return shape_alone(raw.dtype, raw.shape);
  const Raw from = whole(raw);
  auto made = new_raw(raw.dtype, raw.shape);
  const int64_t bytes = block * row_bytes(raw);
  std::vector<Copy> copies;
  for (int64_t i = 0; i < inner; ++i)
    for (int64_t o = 0; o < outer; ++o)
      copies.push_back(
          {made.data + (i * outer + o) * bytes, bytes_of(from) + (o * inner + i) * bytes, bytes});
  copy_all(copies);
  return made.raw;
}

Raw with_zeros_before(const Raw& raw, int64_t rows) {
  auto shape = raw.shape;
  shape.at(0) += rows;
  if (!raw.has_values()) return shape_alone(raw.dtype, std::move(shape));
  const Raw from = whole(raw);
  auto made = new_raw(raw.dtype, std::move(shape));
  const int64_t zeros = rows * row_bytes(raw);
  std::memset(made.data, 0, static_cast<size_t>(zeros));
  copy_all({{made.data + zeros, bytes_of(from), from.bytes()}});
  return made.raw;
}

}  // namespace formwork
