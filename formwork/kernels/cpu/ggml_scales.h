// The scales of 4 rows of W as the x86 kernels read them: number j of row v in lane 4 j + v. Included by
// those kernels alone.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#define FORMWORK_AVX2_INLINE [[gnu::target("avx2,fma,f16c"), gnu::always_inline]] inline

namespace formwork {
namespace {

constexpr int kOutputs = 4;  // rows of W in a tile

FORMWORK_AVX2_INLINE __m128i load_128(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}

// Bytes 4 v + j to places 4 j + v.
FORMWORK_AVX2_INLINE __m128i turned(__m128i bytes) {
  return _mm_shuffle_epi8(bytes, _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}

// Of q4_k and q5_k, half a block: bytes s and n, and numbers d and -m of the rows.
struct KScales {
  __m128i scale, min;
  __m128 d, negative_m;

  FORMWORK_AVX2_INLINE static __m128i join(__m128i low, __m128i high) {
    return _mm_or_si128(_mm_and_si128(low, _mm_set1_epi8(15)),
                        _mm_and_si128(_mm_srli_epi16(high, 2), _mm_set1_epi8(48)));
  }
  // From the first 16 bytes of a block of each row: halves d and m, then three words of 6-bit numbers.
  FORMWORK_AVX2_INLINE void read(const __m128i headers[kOutputs], bool second_half) {
    const auto a = _mm_unpacklo_epi32(headers[0], headers[1]), b = _mm_unpacklo_epi32(headers[2], headers[3]);
    const auto c = _mm_unpackhi_epi32(headers[0], headers[1]), e = _mm_unpackhi_epi32(headers[2], headers[3]);
    const auto halves = _mm_unpacklo_epi64(a, b), low = _mm_unpackhi_epi64(a, b),
               middle = _mm_unpacklo_epi64(c, e), high = _mm_unpackhi_epi64(c, e);
    const auto six = _mm_set1_epi8(63);
    scale = turned(second_half ? join(high, low) : _mm_and_si128(low, six));
    min = turned(second_half ? join(_mm_srli_epi16(high, 4), middle) : _mm_and_si128(middle, six));
    const auto apart = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    const auto both = _mm256_cvtph_ps(_mm_shuffle_epi8(halves, apart));
    d = _mm256_castps256_ps128(both);
    negative_m = _mm_xor_ps(_mm256_extractf128_ps(both, 1), _mm_set1_ps(-0.0f));
  }
};

// Of q6_k, half a block: whole numbers s of first and second halves of the sub-blocks, and d of the rows.
struct Q6Scales {
  __m128i first, last;
  __m128 d;

  // `at[v]`: the 8 scales of the half; `d_at[v]`: the half-precision number.
  FORMWORK_AVX2_INLINE void read(const std::uint8_t* const at[kOutputs],
                                 const std::uint8_t* const d_at[kOutputs]) {
    const auto apart = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, -1, -1, -1, -1, -1, -1, -1, -1);
    __m128i scales[kOutputs];
    std::uint64_t halves = 0;
    for (int v = 0; v < kOutputs; ++v) {
      scales[v] = _mm_shuffle_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at[v])), apart);
      halves |= static_cast<std::uint64_t>(d_at[v][0] | d_at[v][1] << 8) << (16 * v);
    }
    const auto a = _mm_unpacklo_epi32(scales[0], scales[1]), b = _mm_unpacklo_epi32(scales[2], scales[3]);
    first = turned(_mm_unpacklo_epi64(a, b));
    last = turned(_mm_unpackhi_epi64(a, b));
    d = _mm_cvtph_ps(_mm_cvtsi64_si128(static_cast<long long>(halves)));
  }
};

}  // namespace
}  // namespace formwork
