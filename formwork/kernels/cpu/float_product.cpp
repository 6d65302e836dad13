#include "formwork/kernels/cpu/float_product.h"

#include <algorithm>
#include <memory>
#include <new>

#include "formwork/core/error.h"
#include "formwork/kernels/cpu/amx_tiles.h"
#include "formwork/kernels/cpu/parallel_tasks.h"

#if defined(__x86_64__) && defined(__linux__)
#include "formwork/kernels/cpu/float_product_tiles.h"

namespace formwork {
namespace {

// Memory of a thread, kept from call to call, on a boundary of 64 bytes.
class Room {
 public:
  std::uint32_t* of(std::int64_t words) {
    if (words > words_) {
      memory_.reset(new (std::align_val_t(64)) std::uint32_t[static_cast<std::size_t>(words)]);
      words_ = words;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(std::uint32_t* p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  std::unique_ptr<std::uint32_t[], Free> memory_;
  std::int64_t words_ = 0;
};

// Inner values of a piece: its panels stay in the second cache.
constexpr std::int64_t kPiece = 2048;
// Bytes of left panels that a task keeps there while the right ones pass by.
constexpr std::int64_t kGroupBytes = 768 << 10;

std::int64_t parts(std::int64_t size, std::int64_t part) { return (size + part - 1) / part; }

// Two neighbouring panels, which are multiplied together, for each 32 rows.
std::int64_t pairs_of(std::int64_t rows) { return parts(rows, 2 * kTile); }

FloatOperand piece_of(const FloatOperand& operand, std::int64_t k) {
  FloatOperand piece = operand;
  piece.data += operand.turned ? k * operand.stride : k;
  return piece;
}

// Values [k, k + inner) of the sums. `turned`: a and b have changed places, so c is written by columns.
void multiply_piece(const FloatProduct& p, std::int64_t inner, bool turned) {
  const std::int64_t steps = parts(inner, kStep), panel = steps * kStepWords;
  const std::int64_t left = pairs_of(p.a.rows), right = pairs_of(p.b.rows);
  thread_local Room right_room;
  std::uint32_t* packed = right_room.of(2 * right * panel);
  parallel_tasks(2 * right, [&](std::int64_t i) { pack_right(p.b, i * kTile, inner, packed + i * panel); });
  const auto multiply = turned ? multiply_pairs<true> : multiply_pairs<false>;
  // Every thread gets some groups, or a few pairs are all there is.
  const std::int64_t most = std::max<std::int64_t>(1, kGroupBytes / (2 * panel * 4));
  const std::int64_t group = std::min(most, parts(left, 4 * parallel_threads()));
  parallel_tasks(parts(left, group), [&](std::int64_t task) {
    thread_local Room left_room;
    const std::int64_t first = task * group, count = std::min(group, left - first);
    std::uint32_t* own = left_room.of(2 * group * panel);
    for (std::int64_t i = 0; i < 2 * count; ++i)
      pack_left(p.a, (2 * first + i) * kTile, inner, own + i * panel);
    const TileSession session;
    for (std::int64_t j = 0; j < right; ++j)
      for (std::int64_t i = 0; i < count; ++i) {
        alignas(64) float sums[4][kTile * kTile];
        multiply(own + 2 * i * panel, packed + 2 * j * panel, steps, sums);
        write_pair(p, 2 * kTile * (first + i), 2 * kTile * j, turned, sums);
      }
  });
}

}  // namespace

bool has_float_product() {
  // The first call asks the system for the tiles.
  static const bool runs = has_vectors() && amx_available(22);
  return runs;
}

void float_product(const FloatProduct& product) {
  if (!has_float_product()) fail("float_product: this processor has no AMX tiles for bfloat16");
  FloatProduct p = product;
  // Left panels are cheap to make where values of a row are neighbours; the right ones, of fewer rows, wait
  // in memory for all of the left ones.
  const bool turned = p.a.rows < p.b.rows;
  if (turned) std::swap(p.a, p.b);
  for (std::int64_t k = 0; k < product.inner; k += kPiece) {
    FloatProduct piece = p;
    piece.a = piece_of(p.a, k), piece.b = piece_of(p.b, k);
    if (k > 0) piece.bias = nullptr, piece.add = true;
    multiply_piece(piece, std::min(kPiece, product.inner - k), turned);
  }
}

}  // namespace formwork

#else
namespace formwork {
bool has_float_product() { return false; }
void float_product(const FloatProduct&) {}
}  // namespace formwork
#endif
