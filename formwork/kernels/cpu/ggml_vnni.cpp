// Products with blocks of q8_0, q4_0, q4_1 and q4_k by AVX-512 VNNI, which Highway 1.0.3 does not offer.
// A tile is 4 rows of W by up to 4 of x. Of each group of 4 blocks of 32, two vectors a row of W hold the
// codes: quarter j of the first has the first half of block j, of the second the other half. Their products
// with x leave 4 sums a block, which are added up so that lane 4 j + v belongs to block j of row v.
#include "formwork/kernels/cpu/ggml_rows.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

#define FORMWORK_VNNI [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c")]]
#define FORMWORK_VNNI_INLINE \
  [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c"), gnu::always_inline]] inline

namespace formwork {
namespace {

constexpr int kOutputs = 4;

// A group of 4 rows of W. Values are scale * code + min, codes unsigned after an offset.
struct Tile {
  __m512i codes[kOutputs][2];
  __m512 scale, min;  // in lane 4 j + v
};

FORMWORK_VNNI_INLINE __m512i load_512(const void* from) { return _mm512_loadu_si512(from); }
FORMWORK_VNNI_INLINE __m128i load_128(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}

// The first `count` bytes; nothing behind them is read.
FORMWORK_VNNI_INLINE __m512i load_some(const std::uint8_t* from, std::int64_t count) {
  const __mmask64 mask = count >= 64 ? ~__mmask64{0} : (__mmask64{1} << std::max<std::int64_t>(count, 0)) - 1;
  return _mm512_maskz_loadu_epi8(mask, from);
}

FORMWORK_VNNI_INLINE void split_halves(__m512i codes, __m512i to[2]) {
  const auto low = _mm512_set1_epi8(15);
  to[0] = _mm512_and_si512(codes, low);
  to[1] = _mm512_and_si512(_mm512_srli_epi16(codes, 4), low);
}

FORMWORK_VNNI_INLINE __m512 halves_to_floats(__m256i halves) { return _mm512_cvtph_ps(halves); }

// kWhole: all 4 blocks of the group are there; otherwise `blocks` of them.
struct Q41 {
  static constexpr bool kHasMin = true;
  static constexpr std::int64_t kGroupBytes = 80;

  template <bool kWhole>
  FORMWORK_VNNI_INLINE static void unpack(const std::uint8_t* const rows[kOutputs], std::int64_t group,
                                          std::int64_t blocks, Tile& to) {
    const auto codes_at = _mm512_setr_epi32(1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19);
    const auto headers_at = _mm512_setr_epi32(0, 0, 0, 0, 5, 5, 5, 5, 10, 10, 10, 10, 15, 15, 15, 15);
    auto headers = _mm512_setzero_si512();
    for (int v = 0; v < kOutputs; ++v) {
      const std::uint8_t* from = rows[v] + group * kGroupBytes;
      const auto first = kWhole ? load_512(from) : load_some(from, blocks * 20);
      const auto last = kWhole ? load_128(from + 64) : _mm_setzero_si128();
      split_halves(_mm512_permutex2var_epi32(first, codes_at, _mm512_castsi128_si512(last)), to.codes[v]);
      headers =
          _mm512_mask_permutexvar_epi32(headers, static_cast<__mmask16>(0x1111 << v), headers_at, first);
    }
    // The low half of each lane is the scale, the high half the minimum.
    alignas(64) static constexpr std::uint16_t kApart[32] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20,
                                                             22, 24, 26, 28, 30, 1,  3,  5,  7,  9,  11,
                                                             13, 15, 17, 19, 21, 23, 25, 27, 29, 31};
    const auto apart = _mm512_permutexvar_epi16(_mm512_load_si512(kApart), headers);
    to.scale = halves_to_floats(_mm512_castsi512_si256(apart));
    to.min = halves_to_floats(_mm512_extracti64x4_epi64(apart, 1));
  }
};

struct Q40 {
  static constexpr bool kHasMin = false;
  static constexpr std::int64_t kGroupBytes = 72;

  template <bool kWhole>
  FORMWORK_VNNI_INLINE static void unpack(const std::uint8_t* const rows[kOutputs], std::int64_t group,
                                          std::int64_t blocks, Tile& to) {
    alignas(64) static constexpr std::uint16_t kCodesAt[32] = {1,  2,  3,  4,  5,  6,  7,  8,  10, 11, 12,
                                                               13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24,
                                                               25, 26, 0,  0,  0,  0,  0,  0,  0,  0};
    alignas(64) static constexpr std::uint16_t kHeadersAt[32] = {0,  0,  0,  0,  9,  9,  9,  9,
                                                                 18, 18, 18, 18, 27, 27, 27, 27};
    auto headers = _mm512_setzero_si512();
    for (int v = 0; v < kOutputs; ++v) {
      const std::uint8_t* from = rows[v] + group * kGroupBytes;
      const auto first = kWhole ? load_512(from) : load_some(from, blocks * 18);
      const auto last = kWhole ? load_128(from + 56) : _mm_setzero_si128();
      const auto codes = _mm512_permutexvar_epi16(_mm512_load_si512(kCodesAt), first);
      split_halves(_mm512_inserti32x4(codes, last, 3), to.codes[v]);
      headers = _mm512_mask_permutexvar_epi16(headers, static_cast<__mmask32>(0x1111 << v),
                                              _mm512_load_si512(kHeadersAt), first);
    }
    to.scale = halves_to_floats(_mm512_castsi512_si256(headers));
  }
};

struct Q80 {
  static constexpr bool kHasMin = false;
  static constexpr std::int64_t kGroupBytes = 136;

  template <bool kWhole>
  FORMWORK_VNNI_INLINE static __m128i quarter(const std::uint8_t* from, std::int64_t block,
                                              std::int64_t blocks) {
    return kWhole || block < blocks ? load_128(from + 34 * block) : _mm_setzero_si128();
  }
  template <bool kWhole>
  FORMWORK_VNNI_INLINE static __m512i quarters(const std::uint8_t* from, std::int64_t blocks) {
    auto all = _mm512_castsi128_si512(load_128(from));
    all = _mm512_inserti32x4(all, quarter<kWhole>(from, 1, blocks), 1);
    all = _mm512_inserti32x4(all, quarter<kWhole>(from, 2, blocks), 2);
    all = _mm512_inserti32x4(all, quarter<kWhole>(from, 3, blocks), 3);
    return _mm512_xor_si512(all, _mm512_set1_epi8(-128));
  }

  template <bool kWhole>
  FORMWORK_VNNI_INLINE static void unpack(const std::uint8_t* const rows[kOutputs], std::int64_t group,
                                          std::int64_t blocks, Tile& to) {
    alignas(64) static constexpr std::uint16_t kFirstAt[32] = {0, 0, 0, 0, 17, 17, 17, 17},
                                               kLastAt[32] = {0, 0, 0, 0, 0,  0,  0,  0,
                                                              2, 2, 2, 2, 19, 19, 19, 19};
    auto headers = _mm512_setzero_si512();
    for (int v = 0; v < kOutputs; ++v) {
      const std::uint8_t* from = rows[v] + group * kGroupBytes;
      to.codes[v][0] = quarters<kWhole>(from + 2, blocks);
      to.codes[v][1] = quarters<kWhole>(from + 18, blocks);
      const auto first = kWhole ? load_512(from) : load_some(from, blocks * 34);
      const auto last = kWhole ? load_512(from + 64) : load_some(from + 64, blocks * 34 - 64);
      headers = _mm512_mask_permutexvar_epi16(headers, static_cast<__mmask32>(0x0011 << v),
                                              _mm512_load_si512(kFirstAt), first);
      headers = _mm512_mask_permutexvar_epi16(headers, static_cast<__mmask32>(0x1100 << v),
                                              _mm512_load_si512(kLastAt), last);
    }
    to.scale = halves_to_floats(_mm512_castsi512_si256(headers));
  }
};

struct Q4K {
  static constexpr bool kHasMin = true;

  template <bool kWhole>
  FORMWORK_VNNI_INLINE static void unpack(const std::uint8_t* const rows[kOutputs], std::int64_t group,
                                          std::int64_t, Tile& to) {
    // The low halves of 64 bytes are sub-blocks 0 and 2, the high halves 1 and 3.
    const auto first_at = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13),
               last_at = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    __m128i headers[kOutputs];
    for (int v = 0; v < kOutputs; ++v) {
      const std::uint8_t* from = rows[v] + group / 2 * 144;
      headers[v] = load_128(from);
      __m512i halves[2];
      split_halves(load_512(from + 16 + group % 2 * 64), halves);
      to.codes[v][0] = _mm512_permutex2var_epi64(halves[0], first_at, halves[1]);
      to.codes[v][1] = _mm512_permutex2var_epi64(halves[0], last_at, halves[1]);
    }
    scales(headers, group % 2 != 0, to);
  }

 private:
  // Bytes 4 v + j to floats in lane 4 j + v.
  FORMWORK_VNNI_INLINE static __m512 turned(__m128i bytes) {
    const auto at = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_shuffle_epi8(bytes, at)));
  }
  FORMWORK_VNNI_INLINE static __m128i join(__m128i low, __m128i high) {
    return _mm_or_si128(_mm_and_si128(low, _mm_set1_epi8(15)),
                        _mm_and_si128(_mm_srli_epi16(high, 2), _mm_set1_epi8(48)));
  }
  // A header: halves d and m, then three words of 6-bit numbers.
  FORMWORK_VNNI_INLINE static void scales(const __m128i headers[kOutputs], bool second, Tile& to) {
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
    to.scale = _mm512_mul_ps(d_of_rows, turned(scale));
    to.min = _mm512_mul_ps(_mm512_xor_ps(m_of_rows, _mm512_set1_ps(-0.0f)), turned(min));
  }
};

// Of four vectors the sums of each quarter: lane 4 j + v is that of quarter j of vector v.
FORMWORK_VNNI_INLINE __m512i quarter_sums(__m512i a, __m512i b, __m512i c, __m512i d) {
  const auto ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const auto cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

template <int kRows>
struct Sums {
  __m512 product[kRows], min[kRows];
};

template <class Format, int kRows, bool kWhole>
FORMWORK_VNNI_INLINE void add_group(const GgmlInputs* x, std::int64_t groups,
                                    const std::uint8_t* const rows[kOutputs], std::int64_t group,
                                    std::int64_t blocks, Sums<kRows>& sums) {
  Tile tile;
  Format::template unpack<kWhole>(rows, group, blocks, tile);
  for (int r = 0; r < kRows; ++r) {
    const GgmlInputs& in = x[r * groups + group];
    const auto first = _mm512_load_si512(in.codes[0]), last = _mm512_load_si512(in.codes[1]),
               start = _mm512_load_si512(in.start);
    __m512i dots[kOutputs];
    for (int v = 0; v < kOutputs; ++v)
      dots[v] =
          _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(start, tile.codes[v][0], first), tile.codes[v][1], last);
    const auto whole = _mm512_cvtepi32_ps(quarter_sums(dots[0], dots[1], dots[2], dots[3]));
    const auto scale = _mm512_mul_ps(tile.scale, _mm512_load_ps(in.scale));
    sums.product[r] = _mm512_fmadd_ps(whole, scale, sums.product[r]);
    if (Format::kHasMin) sums.min[r] = _mm512_fmadd_ps(tile.min, _mm512_load_ps(in.sum), sums.min[r]);
  }
}

// What lies ahead of a row by so many bytes is fetched: rows are too short for the processor to see the
// stream that they are.
constexpr std::int64_t kAhead = 2048;

FORMWORK_VNNI_INLINE void fetch(const std::uint8_t* from, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; i += 64)
    _mm_prefetch(reinterpret_cast<const char*>(from + i), _MM_HINT_T0);
}

// y [kRows][4] of 4 rows of W.
template <class Format, int kRows>
FORMWORK_VNNI void multiply_tile(const GgmlInputs* x, const GgmlProduct& p,
                                 const std::uint8_t* const rows[kOutputs], float y[kRows][kOutputs]) {
  Sums<kRows> sums;
  for (int r = 0; r < kRows; ++r) sums.product[r] = sums.min[r] = _mm512_setzero_ps();
  const std::int64_t blocks = (p.w.inputs + 31) / 32, whole = blocks / 4;
  for (std::int64_t g = 0; g < whole; ++g) add_group<Format, kRows, true>(x, p.groups, rows, g, 4, sums);
  if (whole < p.groups) add_group<Format, kRows, false>(x, p.groups, rows, whole, blocks % 4, sums);
  for (int r = 0; r < kRows; ++r) {
    const auto total = _mm512_add_ps(sums.product[r], sums.min[r]);
    const auto low = _mm512_castps512_ps256(total), high = _mm512_extractf32x8_ps(total, 1);
    const auto first = _mm_add_ps(_mm256_castps256_ps128(low), _mm256_extractf128_ps(low, 1));
    const auto last = _mm_add_ps(_mm256_castps256_ps128(high), _mm256_extractf128_ps(high, 1));
    _mm_storeu_ps(y[r], _mm_add_ps(first, last));
  }
}

// Rows of x from n on, kRows at a time, with outputs o .. o + count - 1; the first row that is left.
template <class Format, int kRows>
FORMWORK_VNNI std::int64_t multiply_rows(const GgmlProduct& p, const std::uint8_t* const rows[kOutputs],
                                         std::int64_t o, std::int64_t count, std::int64_t n) {
  for (; n + kRows <= p.rows; n += kRows) {
    float y[kRows][kOutputs];
    multiply_tile<Format, kRows>(p.x + n * p.groups, p, rows, y);
    for (int r = 0; r < kRows; ++r)
      for (std::int64_t v = 0; v < count; ++v)
        p.y[(n + r) * p.w.outputs + o + v] = y[r][v] + (p.bias ? p.bias[o + v] : 0.0f);
  }
  return n;
}

template <class Format>
FORMWORK_VNNI void multiply(const GgmlProduct& p, std::int64_t first, std::int64_t last) {
  const std::int64_t bytes = p.w.row_bytes();
  for (std::int64_t o = first; o < last; o += kOutputs) {
    const std::int64_t count = std::min<std::int64_t>(kOutputs, last - o);
    const std::uint8_t* rows[kOutputs];
    // A row beyond the last is a repetition whose sums nobody reads.
    for (std::int64_t v = 0; v < kOutputs; ++v) rows[v] = p.w.blocks + std::min(o + v, last - 1) * bytes;
    fetch(rows[0] + kAhead, kOutputs * bytes);
    multiply_rows<Format, 1>(p, rows, o, count, multiply_rows<Format, 4>(p, rows, o, count, 0));
  }
}

bool runs() {
  static const bool all = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512vnni");
  return all;
}

}  // namespace

GgmlKernel ggml_vnni_kernel(GgmlType type) {
  if (!runs()) return nullptr;
  switch (type) {
    case GgmlType::q8_0:
      return multiply<Q80>;
    case GgmlType::q4_0:
      return multiply<Q40>;
    case GgmlType::q4_1:
      return multiply<Q41>;
    case GgmlType::q4_k:
      return multiply<Q4K>;
    default:
      return nullptr;
  }
}

}  // namespace formwork

#else
namespace formwork {
GgmlKernel ggml_vnni_kernel(GgmlType) { return nullptr; }
}  // namespace formwork
#endif
