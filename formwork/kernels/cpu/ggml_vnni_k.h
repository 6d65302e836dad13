// The formats of blocks of 256 for the VNNI kernel; a group is half a block. Included by ggml_vnni.cpp alone.
#pragma once
#include "formwork/kernels/cpu/ggml_vnni_tile.h"

namespace formwork {
namespace {

// Bytes 4 v + j, signed or not, to numbers in lane 4 j + v.
FORMWORK_VNNI_INLINE __m128i turned(__m128i bytes) {
  return _mm_shuffle_epi8(bytes, _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}

// 32 bytes, twice, shifted right by so many bits in their two copies, under a mask, then left by 4: the high
// bits of codes whose low 4 bits come from elsewhere.
FORMWORK_VNNI_INLINE __m512i high_bits(const std::uint8_t* from, int first, int second, char mask) {
  const auto bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  const auto shifted =
      _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_srl_epi16(bytes, _mm_cvtsi32_si128(first))),
                         _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(second)), 1);
  return _mm512_slli_epi16(_mm512_and_si512(shifted, _mm512_set1_epi8(mask)), 4);
}

// The headers of q4_k and q5_k: halves d and m, then three words of 6-bit scales and minima.
struct KScales {
  FORMWORK_VNNI_INLINE static __m128i join(__m128i low, __m128i high) {
    return _mm_or_si128(_mm_and_si128(low, _mm_set1_epi8(15)),
                        _mm_and_si128(_mm_srli_epi16(high, 2), _mm_set1_epi8(48)));
  }
  FORMWORK_VNNI_INLINE static __m512 numbers(__m128i bytes) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(turned(bytes)));
  }
  // `second`: of the second half of the block.
  FORMWORK_VNNI_INLINE static void unpack(const __m128i headers[kOutputs], bool second, Tile& to) {
    const auto a = _mm_unpacklo_epi32(headers[0], headers[1]), b = _mm_unpacklo_epi32(headers[2], headers[3]);
    const auto c = _mm_unpackhi_epi32(headers[0], headers[1]), d = _mm_unpackhi_epi32(headers[2], headers[3]);
    const auto halves = _mm_unpacklo_epi64(a, b), low = _mm_unpackhi_epi64(a, b),
               middle = _mm_unpacklo_epi64(c, d), high = _mm_unpackhi_epi64(c, d);
    const auto six = _mm_set1_epi8(63);
    const auto scale = second ? join(high, low) : _mm_and_si128(low, six);
    const auto min = second ? join(_mm_srli_epi16(high, 4), middle) : _mm_and_si128(middle, six);
    const auto apart = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    const auto both = _mm256_cvtph_ps(_mm_shuffle_epi8(halves, apart));
    const auto d_of_rows = _mm512_broadcast_f32x4(_mm256_castps256_ps128(both));
    const auto m_of_rows = _mm512_broadcast_f32x4(_mm256_extractf128_ps(both, 1));
    to.scale = _mm512_mul_ps(d_of_rows, numbers(scale));
    to.min = _mm512_mul_ps(_mm512_xor_ps(m_of_rows, _mm512_set1_ps(-0.0f)), numbers(min));
  }
};

// q4_k, and with kFifth q5_k.
template <bool kFifth>
struct Q45K {
  static constexpr bool kHasMin = true, kHalves = false;

  template <bool kWhole>
  FORMWORK_VNNI_INLINE static void unpack(const std::uint8_t* const rows[kOutputs], std::int64_t group,
                                          std::int64_t, Tile& to) {
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
    KScales::unpack(headers, second, to);
  }
};

// q6_k: a scale for each 16 values, of whole numbers times d; codes are 32 too large.
struct Q6K {
  static constexpr bool kHasMin = false, kHalves = true;
  static constexpr char kOffset = 32;

  template <bool kWhole>
  FORMWORK_VNNI_INLINE static void unpack(const std::uint8_t* const rows[kOutputs], std::int64_t group,
                                          std::int64_t, Tile& to) {
    // The low halves of 64 bytes are sub-blocks 0 and 1, the high halves 2 and 3.
    const auto first_at = _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13),
               last_at = _mm512_setr_epi64(2, 3, 6, 7, 10, 11, 14, 15);
    const std::int64_t half = group % 2;
    __m128i scales[kOutputs], d = _mm_setzero_si128();
    for (int v = 0; v < kOutputs; ++v) {
      const std::uint8_t* from = rows[v] + group / 2 * 210;
      __m512i halves[2];
      split_halves(load_512(from + half * 64), halves);
      halves[0] = _mm512_or_si512(halves[0], high_bits(from + 128 + half * 32, 0, 2, 3));
      halves[1] = _mm512_or_si512(halves[1], high_bits(from + 128 + half * 32, 4, 6, 3));
      to.codes[v][0] = _mm512_permutex2var_epi64(halves[0], first_at, halves[1]);
      to.codes[v][1] = _mm512_permutex2var_epi64(halves[0], last_at, halves[1]);
      // Scales of first halves in the low 4 bytes, of the others in the next.
      const auto pairs = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + 192 + half * 8));
      scales[v] =
          _mm_shuffle_epi8(pairs, _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, -1, -1, -1, -1, -1, -1, -1, -1));
      const auto whole = _mm_cvtsi32_si128(from[208] | from[209] << 8);
      d = _mm_or_si128(d, v == 0   ? whole
                          : v == 1 ? _mm_slli_epi64(whole, 16)
                          : v == 2 ? _mm_slli_epi64(whole, 32)
                                   : _mm_slli_epi64(whole, 48));
    }
    const auto a = _mm_unpacklo_epi32(scales[0], scales[1]), b = _mm_unpacklo_epi32(scales[2], scales[3]);
    to.factor[0] = _mm512_cvtepi8_epi32(turned(_mm_unpacklo_epi64(a, b)));
    to.factor[1] = _mm512_cvtepi8_epi32(turned(_mm_unpackhi_epi64(a, b)));
    to.scale = _mm512_broadcast_f32x4(_mm_cvtph_ps(d));
  }
};

}  // namespace
}  // namespace formwork
