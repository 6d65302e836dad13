// Products with quantized blocks by AVX2. A tile is 4 rows of W by up to 4 of x; block j of its 4 rows leaves
// 4 sums, which are scaled in lanes 4 j + v. Sums have the order of the VNNI kernel.
#include <algorithm>

#include "formwork/kernels/cpu/ggml_rows.h"

#if defined(__x86_64__)
#include "formwork/kernels/cpu/ggml_avx2_blocks.h"

namespace formwork {
namespace {

// 32 products of codes in 8 sums, of the first half in the low ones.
template <bool kSigned>
FORMWORK_AVX2_INLINE __m256i products(__m256i w, __m256i x) {
  const auto pairs =
      kSigned ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) : _mm256_maddubs_epi16(w, x);
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

FORMWORK_AVX2_INLINE __m256i codes_of(const GgmlInputs& x, int block) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(load_128(x.codes[0][block])),
                                 load_128(x.codes[1][block]), 1);
}

// The sums of block `block` of 4 rows of W with x.
template <class Format>
FORMWORK_AVX2_INLINE __m128i block_sums(const __m256i codes[kOutputs], const Scales& scales,
                                        const GgmlInputs& x, int block) {
  __m256i dots[kOutputs];
  const auto in = codes_of(x, block);
  for (int v = 0; v < kOutputs; ++v) dots[v] = products<Format::kSigned>(codes[v], in);
  auto sums = _mm256_hadd_epi32(_mm256_hadd_epi32(dots[0], dots[1]), _mm256_hadd_epi32(dots[2], dots[3]));
  if (Format::kHalves) sums = _mm256_mullo_epi32(sums, scales.factor[block]);
  const auto both = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  if (!Format::kOffset) return both;
  return _mm_add_epi32(both, _mm_set1_epi32(x.start[4 * block]));
}

template <int kRows>
struct Sums {
  __m256 product[kRows][2], min[kRows][2];
};

template <class Format, int kRows>
FORMWORK_AVX2_INLINE void add_group(const GgmlInputs* x, std::int64_t groups, RowsOfW rows,
                                    std::int64_t group, int blocks, Sums<kRows>& sums) {
  Scales scales;
  Format::scales(rows, group, blocks, scales);
  __m128i found[kRows][4];
  for (int block = 0; block < 4; ++block) {
    if (block >= blocks) {
      for (int r = 0; r < kRows; ++r) found[r][block] = _mm_setzero_si128();
      continue;
    }
    __m256i codes[kOutputs];
    for (int v = 0; v < kOutputs; ++v) codes[v] = Format::codes(rows[v], group, block);
    for (int r = 0; r < kRows; ++r)
      found[r][block] = block_sums<Format>(codes, scales, x[r * groups + group], block);
  }
  for (int r = 0; r < kRows; ++r)
    for (int half = 0; half < 2; ++half) {
      const GgmlInputs& in = x[r * groups + group];
      const auto scale = _mm256_mul_ps(scales.scale[half], _mm256_load_ps(in.scale + 8 * half));
      const auto whole = _mm256_cvtepi32_ps(
          _mm256_inserti128_si256(_mm256_castsi128_si256(found[r][2 * half]), found[r][2 * half + 1], 1));
      sums.product[r][half] = _mm256_fmadd_ps(whole, scale, sums.product[r][half]);
      if (Format::kHasMin)
        sums.min[r][half] =
            _mm256_fmadd_ps(scales.min[half], _mm256_load_ps(in.sum + 8 * half), sums.min[r][half]);
    }
}

FORMWORK_AVX2_INLINE __m128 both_halves(__m256 sums) {
  return _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
}

template <class Format>
struct Kernel {
  template <int kRows>
  FORMWORK_AVX2 static void tile(const GgmlInputs* x, const GgmlProduct& p, RowsOfW rows,
                                 float y[kRows][kOutputs]) {
    Sums<kRows> sums;
    for (int r = 0; r < kRows; ++r)
      for (int half = 0; half < 2; ++half) sums.product[r][half] = sums.min[r][half] = _mm256_setzero_ps();
    const std::int64_t blocks = (p.w.inputs + 31) / 32;
    for (std::int64_t g = 0; g < p.groups; ++g)
      add_group<Format, kRows>(x, p.groups, rows, g,
                               static_cast<int>(std::min<std::int64_t>(4, blocks - 4 * g)), sums);
    for (int r = 0; r < kRows; ++r)
      _mm_storeu_ps(y[r], _mm_add_ps(both_halves(_mm256_add_ps(sums.product[r][0], sums.min[r][0])),
                                     both_halves(_mm256_add_ps(sums.product[r][1], sums.min[r][1]))));
  }
};

bool runs() {
  // Half precision (f16c) is older than AVX2.
  static const bool all = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return all;
}

}  // namespace

GgmlKernel ggml_avx2_kernel(GgmlType type) {
  if (!runs()) return nullptr;
  return kernel_of<Kernel, Q80, Q40, Q41, Q45K<false>, Q45K<true>, Q6K>(type);
}

}  // namespace formwork

#else
namespace formwork {
GgmlKernel ggml_avx2_kernel(GgmlType) { return nullptr; }
}  // namespace formwork
#endif
