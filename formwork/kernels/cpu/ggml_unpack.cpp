// Where each format keeps its codes, scales and minima: what decoding and the portable product read.
#include <algorithm>
#include <cstring>

#include "formwork/kernels/cpu/ggml_rows.h"
#include "formwork/kernels/cpu/half.h"

namespace formwork {
namespace {

float half_at(const std::uint8_t* from) {
  return half_to_float(static_cast<std::uint16_t>(from[0] | from[1] << 8));
}

// The minimum of formats that have none: adding it changes no bit.
constexpr float kNone = -0.0f;

void set_block(GgmlCodes& to, int block, float scale, float min) {
  to.scale[block] = scale, to.min[block] = min;
  to.factor[0][block] = to.factor[1][block] = 1;
}

// Low halves of 16 bytes are the block's first 16 codes, high halves the others.
void split_halves(const std::uint8_t* bytes, int offset, GgmlCodes& to, int block) {
  for (int i = 0; i < 16; ++i) {
    to.codes[0][block][i] = static_cast<std::int8_t>((bytes[i] & 15) - offset);
    to.codes[1][block][i] = static_cast<std::int8_t>((bytes[i] >> 4) - offset);
  }
}

void unpack_block(GgmlType type, const std::uint8_t* from, GgmlCodes& to, int block) {
  const float d = half_at(from);
  if (type == GgmlType::q8_0) {
    set_block(to, block, d, kNone);
    std::memcpy(to.codes[0][block], from + 2, 16);
    std::memcpy(to.codes[1][block], from + 18, 16);
  } else if (type == GgmlType::q4_0) {
    set_block(to, block, d, kNone);
    split_halves(from + 2, 8, to, block);
  } else {
    set_block(to, block, d, half_at(from + 2));
    split_halves(from + 4, 0, to, block);
  }
}

// The 6-bit scale and minimum number j of 8, packed in 12 bytes.
struct ScaleMin {
  int scale, min;
};
ScaleMin scale_min(const std::uint8_t* s, int j) {
  if (j < 4) return {s[j] & 63, s[j + 4] & 63};
  return {(s[j + 4] & 15) | (s[j - 4] >> 6) << 4, (s[j + 4] >> 4) | (s[j] >> 6) << 4};
}

// Sub-blocks 4 half .. 4 half + 3 of a super-block of q4_k or q5_k (`fifth`: 32 bytes, bit j of byte i for
// entry i of sub-block j; or null).
void unpack_k(const std::uint8_t* from, const std::uint8_t* fifth, const std::uint8_t* codes, int half,
              GgmlCodes& to) {
  const float d = half_at(from), m = half_at(from + 2);
  for (int block = 0; block < 4; ++block) {
    const int j = 4 * half + block;
    const auto [scale, min] = scale_min(from + 4, j);
    set_block(to, block, d * static_cast<float>(scale), -(m * static_cast<float>(min)));
    for (int part = 0; part < 2; ++part) {
      const std::uint8_t* from_low = codes + j / 2 * 32 + part * 16;
      for (int i = 0; i < 16; ++i)
        to.codes[part][block][i] = static_cast<std::int8_t>(from_low[i] >> (j % 2 * 4) & 15);
      for (int i = 0; fifth && i < 16; ++i)
        to.codes[part][block][i] |= static_cast<std::int8_t>((fifth[part * 16 + i] >> j & 1) << 4);
    }
  }
}

void unpack_q6_k(const std::uint8_t* from, int half, GgmlCodes& to) {
  const std::uint8_t *low = from + half * 64, *high = from + 128 + half * 32;
  const float d = half_at(from + 208);
  for (int block = 0; block < 4; ++block) {
    set_block(to, block, d, kNone);
    for (int part = 0; part < 2; ++part) {
      to.factor[part][block] = static_cast<std::int8_t>(from[192 + half * 8 + block * 2 + part]);
      const std::uint8_t *from_low = low + block % 2 * 32 + part * 16, *from_high = high + part * 16;
      for (int i = 0; i < 16; ++i) {
        const int code = (from_low[i] >> (block / 2 * 4) & 15) | (from_high[i] >> (2 * block) & 3) << 4;
        to.codes[part][block][i] = static_cast<std::int8_t>(code - 32);
      }
    }
  }
}

}  // namespace

void ggml_unpack(GgmlType type, const std::uint8_t* row, std::int64_t inputs, std::int64_t group,
                 GgmlCodes& to) {
  const auto& layout = ggml_layout(type);
  if (layout.values == 256) {
    const std::uint8_t* from = row + group / 2 * layout.bytes;
    const int half = static_cast<int>(group % 2);
    if (type == GgmlType::q4_k) return unpack_k(from, nullptr, from + 16, half, to);
    if (type == GgmlType::q5_k) return unpack_k(from, from + 16, from + 48, half, to);
    return unpack_q6_k(from, half, to);
  }
  const auto blocks = static_cast<int>(std::min<std::int64_t>(4, (inputs + 31) / 32 - group * 4));
  if (blocks < 4) to = GgmlCodes{};
  for (int block = 0; block < blocks; ++block)
    unpack_block(type, row + (group * 4 + block) * layout.bytes, to, block);
}

}  // namespace formwork
