// Panels of three bfloat16 parts, and their products in tiles; included by float_product.cpp alone.
//
// A panel is 16 rows of a matrix. For each 32 inner values it has three tiles of 16 x 16 words, one of each
// part; a word is the pair of values k and k + 16. The words of a row lie side by side in a left panel, one
// below the other in a right one.
#pragma once
#include <immintrin.h>

#include "formwork/kernels/cpu/float_product.h"

#define FORMWORK_AMX [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16")]]
#define FORMWORK_AMX_INLINE \
  [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16"), gnu::always_inline]] inline

namespace formwork {
namespace {

constexpr std::int64_t kTile = 16, kStep = 32, kTileWords = kTile * kTile, kStepWords = 3 * kTileWords;

inline bool has_vectors() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

// Pairs of the three parts of two vectors; cutting off bits leaves a rest that the next part holds.
FORMWORK_AMX_INLINE void split(__m512 a, __m512 b, std::uint32_t* to) {
  const auto high = _mm512_set1_epi32(static_cast<int>(0xFFFF0000));
  for (int part = 0; part < 3; ++part) {
    const auto a_bits = _mm512_castps_si512(a), b_bits = _mm512_castps_si512(b);
    const auto a_part = _mm512_and_si512(a_bits, high), b_part = _mm512_and_si512(b_bits, high);
    _mm512_store_si512(to + part * kTileWords, _mm512_or_si512(_mm512_srli_epi32(a_bits, 16), b_part));
    a = _mm512_sub_ps(a, _mm512_castsi512_ps(a_part));
    b = _mm512_sub_ps(b, _mm512_castsi512_ps(b_part));
  }
}

FORMWORK_AMX_INLINE __mmask16 mask_of(std::int64_t count) {
  return count >= kTile ? 0xFFFF : static_cast<__mmask16>((1u << std::max<std::int64_t>(count, 0)) - 1);
}

// Rows i and columns j of 16 x 16 values change places.
FORMWORK_AMX_INLINE void transpose(__m512 v[16]) {
  __m512 t[16];
  for (int i = 0; i < 16; i += 4) {
    const auto a = _mm512_unpacklo_ps(v[i], v[i + 1]), b = _mm512_unpackhi_ps(v[i], v[i + 1]);
    const auto c = _mm512_unpacklo_ps(v[i + 2], v[i + 3]), d = _mm512_unpackhi_ps(v[i + 2], v[i + 3]);
    t[i] = _mm512_shuffle_ps(a, c, 0x44), t[i + 1] = _mm512_shuffle_ps(a, c, 0xEE);
    t[i + 2] = _mm512_shuffle_ps(b, d, 0x44), t[i + 3] = _mm512_shuffle_ps(b, d, 0xEE);
  }
  for (int i = 0; i < 4; ++i) {
    const auto a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88), b = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xDD);
    const auto c = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88),
               d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xDD);
    v[i] = _mm512_shuffle_f32x4(a, c, 0x88), v[i + 8] = _mm512_shuffle_f32x4(a, c, 0xDD);
    v[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88), v[i + 12] = _mm512_shuffle_f32x4(b, d, 0xDD);
  }
}

// 16 lines of up to 16 values, `stride` apart, zeros where there are none.
FORMWORK_AMX_INLINE void load_lines(const float* from, std::int64_t stride, std::int64_t lines,
                                    std::int64_t count, __m512 to[16]) {
  const auto mask = mask_of(count);
  for (std::int64_t i = 0; i < 16; ++i)
    to[i] = i < lines && count > 0 ? _mm512_maskz_loadu_ps(mask, from + i * stride) : _mm512_setzero_ps();
}

// A panel of rows from `first` on. Lines of memory become lines of the tiles, or, with kTransposed, their
// columns.
template <bool kTransposed>
FORMWORK_AMX_INLINE void pack_rows(const FloatOperand& from, std::int64_t first, std::int64_t inner,
                                   std::uint32_t* to) {
  const std::int64_t rows = from.rows - first;
  for (std::int64_t k = 0; k < inner; k += kStep, to += kStepWords) {
    __m512 near[16], far[16];
    const float* at = from.data + first * from.stride + k;
    load_lines(at, from.stride, rows, inner - k, near);
    load_lines(at + kTile, from.stride, rows, inner - k - kTile, far);
    if (kTransposed) transpose(near), transpose(far);
    for (int i = 0; i < 16; ++i) split(near[i], far[i], to + i * kTile);
  }
}

template <bool kTransposed>
FORMWORK_AMX_INLINE void pack_turned(const FloatOperand& from, std::int64_t first, std::int64_t inner,
                                     std::uint32_t* to) {
  const std::int64_t rows = from.rows - first;
  for (std::int64_t k = 0; k < inner; k += kStep, to += kStepWords) {
    __m512 near[16], far[16];
    const float* at = from.data + k * from.stride + first;
    load_lines(at, from.stride, inner - k, rows, near);
    load_lines(at + kTile * from.stride, from.stride, inner - k - kTile, rows, far);
    if (kTransposed) transpose(near), transpose(far);
    for (int i = 0; i < 16; ++i) split(near[i], far[i], to + i * kTile);
  }
}

FORMWORK_AMX void pack_left(const FloatOperand& from, std::int64_t first, std::int64_t inner,
                            std::uint32_t* to) {
  from.turned ? pack_turned<true>(from, first, inner, to) : pack_rows<false>(from, first, inner, to);
}

FORMWORK_AMX void pack_right(const FloatOperand& from, std::int64_t first, std::int64_t inner,
                             std::uint32_t* to) {
  from.turned ? pack_turned<false>(from, first, inner, to) : pack_rows<true>(from, first, inner, to);
}

// While it lives, this thread's tiles are all 16 x 64 bytes.
class TileSession {
 public:
  FORMWORK_AMX TileSession() {
    struct alignas(64) {
      std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } shapes;
    _tile_loadconfig(&shapes);
  }
  FORMWORK_AMX ~TileSession() { _tile_release(); }
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;
};

// Tiles 0 to 3: sums; 4 and 5: left; 6 and 7: right.
#define FORMWORK_LOAD_LEFT(part)                \
  _tile_loadd(4, left + part * kTileWords, 64); \
  _tile_loadd(5, left + panel + part * kTileWords, 64)
#define FORMWORK_LOAD_RIGHT(part)                \
  _tile_loadd(6, right + part * kTileWords, 64); \
  _tile_loadd(7, right + panel + part * kTileWords, 64)
#define FORMWORK_MULTIPLY  \
  _tile_dpbf16ps(0, 4, 6); \
  _tile_dpbf16ps(1, 4, 7); \
  _tile_dpbf16ps(2, 5, 6); \
  _tile_dpbf16ps(3, 5, 7)

// sums [2 left panels][2 right panels] of 16 x 16. With kMirrored the products of parts are added in the
// order that they have when left and right change places.
template <bool kMirrored>
FORMWORK_AMX void multiply_pairs(const std::uint32_t* left, const std::uint32_t* right, std::int64_t steps,
                                 float sums[4][kTile * kTile]) {
  const std::int64_t panel = steps * kStepWords;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::int64_t k = 0; k < steps; ++k, left += kStepWords, right += kStepWords) {
    FORMWORK_LOAD_LEFT(0);
    FORMWORK_LOAD_RIGHT(0);
    FORMWORK_MULTIPLY;
    if constexpr (kMirrored) {
      FORMWORK_LOAD_LEFT(1);
      FORMWORK_MULTIPLY;
      FORMWORK_LOAD_RIGHT(1);
      FORMWORK_MULTIPLY;
      FORMWORK_LOAD_LEFT(0);
      FORMWORK_MULTIPLY;
      FORMWORK_LOAD_RIGHT(2);
      FORMWORK_MULTIPLY;
      FORMWORK_LOAD_LEFT(2);
      FORMWORK_LOAD_RIGHT(0);
    } else {
      FORMWORK_LOAD_RIGHT(1);
      FORMWORK_MULTIPLY;
      FORMWORK_LOAD_LEFT(1);
      FORMWORK_MULTIPLY;
      FORMWORK_LOAD_RIGHT(0);
      FORMWORK_MULTIPLY;
      FORMWORK_LOAD_LEFT(2);
      FORMWORK_MULTIPLY;
      FORMWORK_LOAD_LEFT(0);
      FORMWORK_LOAD_RIGHT(2);
    }
    FORMWORK_MULTIPLY;
  }
  _tile_stored(0, sums[0], 64);
  _tile_stored(1, sums[1], 64);
  _tile_stored(2, sums[2], 64);
  _tile_stored(3, sums[3], 64);
}
#undef FORMWORK_LOAD_LEFT
#undef FORMWORK_LOAD_RIGHT
#undef FORMWORK_MULTIPLY

// 16 x 16 sums to rows `row` and columns `column` of c.
FORMWORK_AMX_INLINE void write_tile(const FloatProduct& p, std::int64_t row, std::int64_t rows,
                                    std::int64_t column, std::int64_t columns, __m512 sums[16]) {
  const auto mask = mask_of(columns);
  const auto bias = p.bias ? _mm512_maskz_loadu_ps(mask, p.bias + column) : _mm512_setzero_ps();
  for (std::int64_t i = 0; i < std::min<std::int64_t>(rows, kTile); ++i) {
    float* c = p.c + (row + i) * p.c_stride + column;
    auto value = p.bias ? _mm512_add_ps(sums[i], bias) : sums[i];
    if (p.add) value = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, c), value);
    _mm512_mask_storeu_ps(c, mask, value);
  }
}

FORMWORK_AMX void write_pair(const FloatProduct& p, std::int64_t first, std::int64_t second, bool turned,
                             const float sums[4][kTile * kTile]) {
  for (int tile = 0; tile < 4; ++tile) {
    const std::int64_t left = first + tile / 2 * kTile, right = second + tile % 2 * kTile;
    const std::int64_t left_rows = p.a.rows - left, right_rows = p.b.rows - right;
    if (left_rows <= 0 || right_rows <= 0) continue;
    __m512 v[16];
    for (int i = 0; i < 16; ++i) v[i] = _mm512_load_ps(sums[tile] + i * kTile);
    if (turned) {
      transpose(v);
      write_tile(p, right, right_rows, left, left_rows, v);
    } else {
      write_tile(p, left, left_rows, right, right_rows, v);
    }
  }
}

}  // namespace
}  // namespace formwork
