// The formats of blocks of 32 for the VNNI kernel; included by ggml_vnni.cpp alone.
#pragma once
#include "formwork/kernels/cpu/ggml_vnni_tile.h"

namespace formwork {
namespace {

// kWhole: all 4 blocks of the group are there; otherwise `blocks` of them.
struct Q41 {
  static constexpr bool kHasMin = true, kHalves = false;
  static constexpr std::int64_t kGroupBytes = 80;

  template <bool kWhole>
  FORMWORK_VNNI_INLINE static void unpack(RowsOfW rows, std::int64_t group, std::int64_t blocks, Tile& to) {
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
  static constexpr bool kHasMin = false, kHalves = false;
  static constexpr std::int64_t kGroupBytes = 72;

  template <bool kWhole>
  FORMWORK_VNNI_INLINE static void unpack(RowsOfW rows, std::int64_t group, std::int64_t blocks, Tile& to) {
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
  static constexpr bool kHasMin = false, kHalves = false;
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
  FORMWORK_VNNI_INLINE static void unpack(RowsOfW rows, std::int64_t group, std::int64_t blocks, Tile& to) {
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

}  // namespace
}  // namespace formwork
