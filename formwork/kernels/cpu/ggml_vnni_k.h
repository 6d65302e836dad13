// The formats of blocks of 256 for the VNNI kernel; a group is half a block. Included by ggml_vnni.cpp alone.
#pragma once
#include "formwork/kernels/cpu/ggml_vnni_tile.h"

namespace formwork {
namespace {

// 32 bytes, twice, shifted right by so many bits in their two copies, under a mask, then left by 4: the high
// bits of codes whose low 4 bits come from elsewhere.
FORMWORK_VNNI_INLINE __m512i high_bits(const std::uint8_t* from, int first, int second, char mask) {
  const auto bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  const auto shifted =
      _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_srl_epi16(bytes, _mm_cvtsi32_si128(first))),
                         _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(second)), 1);
  return _mm512_slli_epi16(_mm512_and_si512(shifted, _mm512_set1_epi8(mask)), 4);
}

// 16 bytes as numbers, times d of their row.
FORMWORK_VNNI_INLINE __m512 scaled(__m128i numbers, __m128 d) {
  return _mm512_mul_ps(_mm512_broadcast_f32x4(d), _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(numbers)));
}

// q4_k, and with kFifth q5_k.
template <bool kFifth>
struct Q45K {
  static constexpr bool kHasMin = true, kHalves = false;

  template <bool kWhole>
  FORMWORK_VNNI_INLINE static void unpack(RowsOfW rows, std::int64_t group, std::int64_t, Tile& to) {
    // The low halves of 64 bytes are sub-blocks 0 and 2, the high halves 1 and 3.
    const auto first_at = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13),
               last_at = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    const bool second = group % 2 != 0;
    const int bit = second ? 4 : 0;
    __m128i headers[kOutputs];
    for (int v = 0; v < kOutputs; ++v) {
      const std::uint8_t* from = rows[v] + group / 2 * (kFifth ? 176 : 144);
      headers[v] = load_128(from);
      __m512i halves[2];
      split_halves(load_512(from + (kFifth ? 48 : 16) + (second ? 64 : 0)), halves);
      if (kFifth) {
        halves[0] = _mm512_or_si512(halves[0], high_bits(from + 16, bit, bit + 2, 1));
        halves[1] = _mm512_or_si512(halves[1], high_bits(from + 16, bit + 1, bit + 3, 1));
      }
      to.codes[v][0] = _mm512_permutex2var_epi64(halves[0], first_at, halves[1]);
      to.codes[v][1] = _mm512_permutex2var_epi64(halves[0], last_at, halves[1]);
    }
    KScales found;
    found.read(headers, second);
    to.scale = scaled(found.scale, found.d);
    to.min = scaled(found.min, found.negative_m);
  }
};

// q6_k: a scale for each 16 values, of whole numbers times d; codes are 32 too large.
struct Q6K {
  static constexpr bool kHasMin = false, kHalves = true;
  static constexpr char kOffset = 32;

  template <bool kWhole>
  FORMWORK_VNNI_INLINE static void unpack(RowsOfW rows, std::int64_t group, std::int64_t, Tile& to) {
    // The low halves of 64 bytes are sub-blocks 0 and 1, the high halves 2 and 3.
    const auto first_at = _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13),
               last_at = _mm512_setr_epi64(2, 3, 6, 7, 10, 11, 14, 15);
    const std::int64_t half = group % 2;
    const std::uint8_t *scales[kOutputs], *d[kOutputs];
    for (int v = 0; v < kOutputs; ++v) {
      const std::uint8_t* from = rows[v] + group / 2 * 210;
      __m512i halves[2];
      split_halves(load_512(from + half * 64), halves);
      halves[0] = _mm512_or_si512(halves[0], high_bits(from + 128 + half * 32, 0, 2, 3));
      halves[1] = _mm512_or_si512(halves[1], high_bits(from + 128 + half * 32, 4, 6, 3));
      to.codes[v][0] = _mm512_permutex2var_epi64(halves[0], first_at, halves[1]);
      to.codes[v][1] = _mm512_permutex2var_epi64(halves[0], last_at, halves[1]);
      scales[v] = from + 192 + half * 8;
      d[v] = from + 208;
    }
    Q6Scales found;
    found.read(scales, d);
    to.factor[0] = _mm512_cvtepi8_epi32(found.first);
    to.factor[1] = _mm512_cvtepi8_epi32(found.last);
    to.scale = _mm512_broadcast_f32x4(found.d);
  }
};

}  // namespace
}  // namespace formwork
