// The integer product by AVX-512 VNNI, which Highway 1.0.3 does not offer. The instruction multiplies
// unsigned by signed bytes, so weights are shifted to w + 128 in registers (their sign bit flipped) and
// 128 sum_i x is taken off at the end; sums may wrap around in between, which changes nothing.
#include "formwork/kernels/cpu/int8_block.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace formwork {
namespace {

// The sums of four vectors, in one.
[[gnu::target("avx512f,avx512bw,avx512vnni")]] inline __m128i sums_of_four(__m512i a, __m512i b, __m512i c,
                                                                           __m512i d) {
  const auto ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const auto cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  const auto all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const auto half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// Four weight rows; a weight row beyond the last is a repetition whose sums nobody reads.
template <int kRows>
[[gnu::target("avx512f,avx512bw,avx512vnni")]] void tile(const int8_t* x, const int32_t* x_sums,
                                                         int64_t inputs, const int8_t* const w[4],
                                                         int32_t* sums) {
  const auto flip = _mm512_set1_epi8(-128);
  __m512i total[kRows][4];
  for (auto& row : total)
    for (auto& sum : row) sum = _mm512_setzero_si512();
  for (int64_t k = 0; k < inputs; k += 64) {
    const int64_t left = inputs - k;
    const __mmask64 mask = left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
    __m512i row[kRows];
    for (int n = 0; n < kRows; ++n) row[n] = _mm512_maskz_loadu_epi8(mask, x + n * inputs + k);
    for (int o = 0; o < 4; ++o) {
      const auto shifted = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, w[o] + k), flip);
      for (int n = 0; n < kRows; ++n) total[n][o] = _mm512_dpbusd_epi32(total[n][o], shifted, row[n]);
    }
  }
  for (int n = 0; n < kRows; ++n) {
    const auto all = sums_of_four(total[n][0], total[n][1], total[n][2], total[n][3]);
    const auto shift = static_cast<int32_t>(static_cast<uint32_t>(x_sums[n]) * 128u);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(sums + n * kInt8Block),
                     _mm_sub_epi32(all, _mm_set1_epi32(shift)));
  }
}

void multiply(const Int8Rows& rows, const int8_t* w, int64_t outputs, int32_t* sums) {
  const int32_t* x_sums = rows.prepared.data();
  for (int64_t o = 0; o < outputs; o += 4) {
    const int8_t* each[4];
    for (int64_t j = 0; j < 4; ++j) each[j] = w + std::min(o + j, outputs - 1) * rows.inputs;
    int64_t n = 0;
    for (; n + 4 <= rows.rows; n += 4)
      tile<4>(rows.x + n * rows.inputs, x_sums + n, rows.inputs, each, sums + n * kInt8Block + o);
    for (; n < rows.rows; ++n)
      tile<1>(rows.x + n * rows.inputs, x_sums + n, rows.inputs, each, sums + n * kInt8Block + o);
  }
}

void prepare(Int8Rows& rows) {
  rows.prepared.resize(rows.rows);
  for (int64_t n = 0; n < rows.rows; ++n)
    rows.prepared[n] = std::accumulate(rows.x + n * rows.inputs, rows.x + (n + 1) * rows.inputs, int32_t{0});
}

}  // namespace

Int8BlockKernel int8_vnni_kernel() {
  static const bool runs = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512vnni");
  return runs ? Int8BlockKernel{prepare, multiply} : Int8BlockKernel{nullptr, nullptr};
}

}  // namespace formwork

#else
namespace formwork {
Int8BlockKernel int8_vnni_kernel() { return {nullptr, nullptr}; }
}  // namespace formwork
#endif
