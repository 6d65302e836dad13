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
FORMWORK_VNNI_INLINE void add_group(const GgmlInputs* x, std::int64_t groups, RowsOfW rows,
                                    std::int64_t group, std::int64_t blocks, Sums<kRows>& sums) {
  Tile tile;
  Format::template unpack<kWhole>(rows, group, blocks, tile);
  for (int r = 0; r < kRows; ++r) {
    const GgmlInputs& in = x[r * groups + group];
    const auto scale = _mm512_mul_ps(tile.scale, _mm512_load_ps(in.scale));
    sums.product[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products<Format>(tile, in)), scale, sums.product[r]);
    if (Format::kHasMin) sums.min[r] = _mm512_fmadd_ps(tile.min, _mm512_load_ps(in.sum), sums.min[r]);
  }
}

template <class Format>
struct Kernel {
  template <int kRows>
  FORMWORK_VNNI static void tile(const GgmlInputs* x, const GgmlProduct& p, RowsOfW rows,
                                 float y[kRows][kOutputs]) {
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
};

bool runs() {
  static const bool all = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512vnni");
  return all;
}

}  // namespace

GgmlKernel ggml_vnni_kernel(GgmlType type) {
  if (!runs()) return nullptr;
  return kernel_of<Kernel, Q80, Q40, Q41, Q45K<false>, Q45K<true>, Q6K>(type);
}

}  // namespace formwork

#else
namespace formwork {
GgmlKernel ggml_vnni_kernel(GgmlType) { return nullptr; }
}  // namespace formwork
#endif
