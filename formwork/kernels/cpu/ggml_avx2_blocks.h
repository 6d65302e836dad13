// The formats for the AVX2 kernel; included by ggml_avx2.cpp alone.
#pragma once
#include "formwork/kernels/cpu/ggml_tiles.h"

#define FORMWORK_AVX2 [[gnu::target("avx2,fma,f16c")]]

namespace formwork {
namespace {

// Of a group of 4 rows of W, in lanes 4 j + v: values are scale * factor * code + min.
struct Scales {
  __m256 scale[2], min[2];
  __m256i factor[4];  // of block j: of the first halves of 4 rows, then of the others
};

// Codes of a block of 32 from 16 bytes: low halves first.
FORMWORK_AVX2_INLINE __m256i split_halves(__m128i bytes) {
  const auto both = _mm256_inserti128_si256(_mm256_castsi128_si256(bytes), _mm_srli_epi16(bytes, 4), 1);
  return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

FORMWORK_AVX2_INLINE __m256i load_256(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

// The first two bytes of block `block` of each row, as numbers.
FORMWORK_AVX2_INLINE __m128 halves_of(RowsOfW rows, std::int64_t at) {
  std::uint64_t all = 0;
  for (int v = 0; v < kOutputs; ++v) {
    std::uint16_t half;
    std::memcpy(&half, rows[v] + at, sizeof(half));
    all |= static_cast<std::uint64_t>(half) << (16 * v);
  }
  return _mm_cvtph_ps(_mm_cvtsi64_si128(static_cast<long long>(all)));
}

// Scales of `blocks` blocks of 32 that begin with one; 0 for those that are not there.
FORMWORK_AVX2_INLINE void block_scales(RowsOfW rows, std::int64_t at, std::int64_t stride, int blocks,
                                       __m256 to[2]) {
  __m128 found[4];
  for (int block = 0; block < 4; ++block)
    found[block] = block < blocks ? halves_of(rows, at + stride * block) : _mm_setzero_ps();
  for (int half = 0; half < 2; ++half)
    to[half] = _mm256_insertf128_ps(_mm256_castps128_ps256(found[2 * half]), found[2 * half + 1], 1);
}

struct Q41 {
  static constexpr bool kHasMin = true, kHalves = false, kSigned = false, kOffset = false;
  static constexpr std::int64_t kBytes = 20;

  FORMWORK_AVX2_INLINE static __m256i codes(const std::uint8_t* row, std::int64_t group, int block) {
    return split_halves(load_128(row + (4 * group + block) * kBytes + 4));
  }
  FORMWORK_AVX2_INLINE static void scales(RowsOfW rows, std::int64_t group, int blocks, Scales& to) {
    block_scales(rows, 4 * group * kBytes, kBytes, blocks, to.scale);
    block_scales(rows, 4 * group * kBytes + 2, kBytes, blocks, to.min);
  }
};

struct Q40 {
  static constexpr bool kHasMin = false, kHalves = false, kSigned = false, kOffset = true;
  static constexpr std::int64_t kBytes = 18;

  FORMWORK_AVX2_INLINE static __m256i codes(const std::uint8_t* row, std::int64_t group, int block) {
    return split_halves(load_128(row + (4 * group + block) * kBytes + 2));
  }
  FORMWORK_AVX2_INLINE static void scales(RowsOfW rows, std::int64_t group, int blocks, Scales& to) {
    block_scales(rows, 4 * group * kBytes, kBytes, blocks, to.scale);
  }
};

struct Q80 {
  static constexpr bool kHasMin = false, kHalves = false, kSigned = true, kOffset = false;
  static constexpr std::int64_t kBytes = 34;

  FORMWORK_AVX2_INLINE static __m256i codes(const std::uint8_t* row, std::int64_t group, int block) {
    return load_256(row + (4 * group + block) * kBytes + 2);
  }
  FORMWORK_AVX2_INLINE static void scales(RowsOfW rows, std::int64_t group, int blocks, Scales& to) {
    block_scales(rows, 4 * group * kBytes, kBytes, blocks, to.scale);
  }
};

// 16 numbers of lanes 4 j + v times d of their row.
FORMWORK_AVX2_INLINE void scaled(__m128i numbers, __m128 d, __m256 to[2]) {
  const auto both = _mm256_set_m128(d, d);
  to[0] = _mm256_mul_ps(both, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(numbers)));
  to[1] = _mm256_mul_ps(both, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(numbers, 8))));
}

// q4_k, and with kFifth q5_k; a group is half a block.
template <bool kFifth>
struct Q45K {
  static constexpr bool kHasMin = true, kHalves = false, kSigned = false, kOffset = false;
  static constexpr std::int64_t kBytes = kFifth ? 176 : 144;

  FORMWORK_AVX2_INLINE static __m256i codes(const std::uint8_t* row, std::int64_t group, int block) {
    const std::uint8_t* from = row + group / 2 * kBytes;
    const int j = static_cast<int>(group % 2) * 4 + block;
    const auto low = load_256(from + (kFifth ? 48 : 16) + j / 2 * 32);
    const auto codes = _mm256_and_si256(j % 2 ? _mm256_srli_epi16(low, 4) : low, _mm256_set1_epi8(15));
    if (!kFifth) return codes;
    const auto bit =
        _mm256_and_si256(_mm256_srl_epi16(load_256(from + 16), _mm_cvtsi32_si128(j)), _mm256_set1_epi8(1));
    return _mm256_or_si256(codes, _mm256_slli_epi16(bit, 4));
  }
  FORMWORK_AVX2_INLINE static void scales(RowsOfW rows, std::int64_t group, int, Scales& to) {
    __m128i headers[kOutputs];
    for (int v = 0; v < kOutputs; ++v) headers[v] = load_128(rows[v] + group / 2 * kBytes);
    KScales found;
    found.read(headers, group % 2 != 0);
    scaled(found.scale, found.d, to.scale);
    scaled(found.min, found.negative_m, to.min);
  }
};

// q6_k: whole numbers s for each 16 values; codes are 32 too large.
struct Q6K {
  static constexpr bool kHasMin = false, kHalves = true, kSigned = true, kOffset = false;
  static constexpr std::int64_t kBytes = 210;

  FORMWORK_AVX2_INLINE static __m256i codes(const std::uint8_t* row, std::int64_t group, int block) {
    const std::uint8_t* from = row + group / 2 * kBytes;
    const std::int64_t half = group % 2;
    const auto low = load_256(from + half * 64 + block % 2 * 32), high = load_256(from + 128 + half * 32);
    const auto low_bits = _mm256_and_si256(block / 2 ? _mm256_srli_epi16(low, 4) : low, _mm256_set1_epi8(15));
    const auto high_bits =
        _mm256_and_si256(_mm256_srl_epi16(high, _mm_cvtsi32_si128(2 * block)), _mm256_set1_epi8(3));
    return _mm256_sub_epi8(_mm256_or_si256(low_bits, _mm256_slli_epi16(high_bits, 4)), _mm256_set1_epi8(32));
  }
  FORMWORK_AVX2_INLINE static void scales(RowsOfW rows, std::int64_t group, int, Scales& to) {
    const std::uint8_t *at[kOutputs], *d_at[kOutputs];
    for (int v = 0; v < kOutputs; ++v) {
      d_at[v] = rows[v] + group / 2 * kBytes + 208;
      at[v] = d_at[v] - 16 + group % 2 * 8;
    }
    Q6Scales found;
    found.read(at, d_at);
    alignas(16) std::int8_t first[16], last[16];
    _mm_store_si128(reinterpret_cast<__m128i*>(first), found.first);
    _mm_store_si128(reinterpret_cast<__m128i*>(last), found.last);
    for (int block = 0; block < 4; ++block) {
      std::int32_t four_first, four_last;
      std::memcpy(&four_first, first + 4 * block, 4);
      std::memcpy(&four_last, last + 4 * block, 4);
      to.factor[block] = _mm256_cvtepi8_epi32(_mm_insert_epi32(_mm_cvtsi32_si128(four_first), four_last, 1));
    }
    to.scale[0] = to.scale[1] = _mm256_set_m128(found.d, found.d);
  }
};

}  // namespace
}  // namespace formwork
