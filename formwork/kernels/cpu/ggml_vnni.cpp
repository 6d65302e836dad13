// Products with quantized blocks by AVX-512 VNNI, which Highway 1.0.3 does not offer. A tile is 4 rows of W
// by up to 4 of x. Products of the codes of a group with x leave 4 sums a block, which are added up so that
// lane 4 j + v belongs to block j of row v.
#include "formwork/kernels/cpu/ggml_rows.h"

#if defined(__x86_64__)
#include "formwork/kernels/cpu/ggml_vnni_blocks.h"
#include "formwork/kernels/cpu/ggml_vnni_k.h"

namespace formwork {
namespace {

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

// The sums of products of codes, offsets taken off, of a group with x.
template <class Format>
FORMWORK_VNNI_INLINE __m512i products(const Tile& tile, const GgmlInputs& x) {
  const auto first = _mm512_load_si512(x.codes[0]), last = _mm512_load_si512(x.codes[1]);
  __m512i dots[kOutputs];
  if constexpr (Format::kHalves) {
    const auto zero = _mm512_setzero_si512(), offset = _mm512_set1_epi8(Format::kOffset);
    const auto first_start = _mm512_sub_epi32(zero, _mm512_dpbusd_epi32(zero, offset, first)),
               last_start = _mm512_sub_epi32(zero, _mm512_dpbusd_epi32(zero, offset, last));
    __m512i others[kOutputs];
    for (int v = 0; v < kOutputs; ++v) {
      dots[v] = _mm512_dpbusd_epi32(first_start, tile.codes[v][0], first);
      others[v] = _mm512_dpbusd_epi32(last_start, tile.codes[v][1], last);
    }
    return _mm512_add_epi32(
        _mm512_mullo_epi32(tile.factor[0], quarter_sums(dots[0], dots[1], dots[2], dots[3])),
        _mm512_mullo_epi32(tile.factor[1], quarter_sums(others[0], others[1], others[2], others[3])));
  } else {
    const auto start = _mm512_load_si512(x.start);
    for (int v = 0; v < kOutputs; ++v)
      dots[v] =
          _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(start, tile.codes[v][0], first), tile.codes[v][1], last);
    return quarter_sums(dots[0], dots[1], dots[2], dots[3]);
  }
}

template <class Format, int kRows, bool kWhole>
FORMWORK_VNNI_INLINE void add_group(const GgmlInputs* x, std::int64_t groups,
                                    const std::uint8_t* const rows[kOutputs], std::int64_t group,
                                    std::int64_t blocks, Sums<kRows>& sums) {
  Tile tile;
  Format::template unpack<kWhole>(rows, group, blocks, tile);
  for (int r = 0; r < kRows; ++r) {
    const GgmlInputs& in = x[r * groups + group];
    const auto scale = _mm512_mul_ps(tile.scale, _mm512_load_ps(in.scale));
    sums.product[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products<Format>(tile, in)), scale, sums.product[r]);
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
      return multiply<Q45K<false>>;
    case GgmlType::q5_k:
      return multiply<Q45K<true>>;
    case GgmlType::q6_k:
      return multiply<Q6K>;
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
