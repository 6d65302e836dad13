// What a VNNI kernel makes of a group of 4 blocks of 32 of 4 rows of W. Of each row two vectors hold the
// codes: quarter j of the first has the first half of block j, of the second the other half. Included by
// ggml_vnni.cpp alone.
#pragma once
#include "formwork/kernels/cpu/ggml_tiles.h"

#define FORMWORK_VNNI [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c")]]
#define FORMWORK_VNNI_INLINE \
  [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,f16c"), gnu::always_inline]] inline

namespace formwork {
namespace {

// A group of 4 rows of W. Values are scale * code + min, codes unsigned after an offset.
struct Tile {
  __m512i codes[kOutputs][2];
  __m512 scale, min;  // in lane 4 j + v
  __m512i factor[2];  // whole numbers on the sums of each half, where a format has them
};

FORMWORK_VNNI_INLINE __m512i load_512(const void* from) { return _mm512_loadu_si512(from); }

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

}  // namespace
}  // namespace formwork
