// Values to blocks, rounded as ggml's reference does.
#include "formwork/kernels/cpu/ggml_encode.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "formwork/kernels/cpu/ggml_block.h"
#include "formwork/kernels/cpu/half.h"
#include "formwork/kernels/cpu/parallel.h"

namespace formwork {
namespace {

void put_half(float value, std::uint8_t* to) {
  const std::uint16_t half = float_to_half(value);
  to[0] = static_cast<std::uint8_t>(half), to[1] = static_cast<std::uint8_t>(half >> 8);
}

float inverse(float scale) { return scale != 0 ? 1.0f / scale : 0.0f; }

// The value of the largest size, the first of them.
float extreme(const float* x) {
  float found = 0;
  for (int i = 0; i < 32; ++i)
    if (std::fabs(x[i]) > std::fabs(found)) found = x[i];
  return found;
}

void encode_q8_0(const float* x, std::uint8_t* block) {
  const float scale = std::fabs(extreme(x)) / 127.0f, factor = inverse(scale);
  put_half(scale, block);
  for (int i = 0; i < 32; ++i)
    block[2 + i] = static_cast<std::uint8_t>(static_cast<std::int8_t>(std::round(x[i] * factor)));
}

// Codes 0 .. 15, cut off below the half step that is added.
void put_nibbles(const float* x, float factor, float start, float shift, std::uint8_t* to) {
  const auto code = [&](float value) {
    const auto found = static_cast<int>((value - start) * factor + shift);
    return static_cast<std::uint8_t>(std::clamp(found, 0, 15));
  };
  for (int i = 0; i < 16; ++i) to[i] = static_cast<std::uint8_t>(code(x[i]) | code(x[i + 16]) << 4);
}

void encode_q4_0(const float* x, std::uint8_t* block) {
  const float scale = extreme(x) / -8.0f;
  put_half(scale, block);
  put_nibbles(x, inverse(scale), 0, 8.5f, block + 2);
}

void encode_q4_1(const float* x, std::uint8_t* block) {
  const auto [low, high] = std::minmax_element(x, x + 32);
  const float scale = (*high - *low) / 15.0f;
  put_half(scale, block);
  put_half(*low, block + 2);
  put_nibbles(x, inverse(scale), *low, 0.5f, block + 4);
}

void encode_f16(const float* x, std::uint8_t* block) { put_half(*x, block); }

void encode_bf16(const float* x, std::uint8_t* block) {
  const std::uint16_t value = float_to_bfloat16(*x);
  block[0] = static_cast<std::uint8_t>(value), block[1] = static_cast<std::uint8_t>(value >> 8);
}

using Encode = void (*)(const float* values, std::uint8_t* block);

Encode encoder(GgmlType type) {
  static constexpr Encode all[] = {encode_f16,  encode_bf16, encode_q8_0, encode_q4_0,
                                   encode_q4_1, encode_q4_k, encode_q5_k, encode_q6_k};
  return all[static_cast<int>(type)];
}

}  // namespace

void ggml_encode(GgmlType type, const float* values, std::int64_t rows, std::int64_t width,
                 std::uint8_t* blocks) {
  const auto& layout = ggml_layout(type);
  const Encode encode = encoder(type);
  const std::int64_t whole = width / layout.values, rest = width % layout.values;
  const std::int64_t row_bytes = (whole + (rest > 0)) * layout.bytes;
  parallel_for(0, rows, 1 + 4096 / (width + 1), [&](std::int64_t first, std::int64_t last) {
    std::vector<float> tail(static_cast<std::size_t>(layout.values));
    for (std::int64_t r = first; r < last; ++r) {
      const float* from = values + r * width;
      std::uint8_t* to = blocks + r * row_bytes;
      for (std::int64_t b = 0; b < whole; ++b) encode(from + b * layout.values, to + b * layout.bytes);
      if (rest == 0) continue;
      std::copy_n(from + whole * layout.values, rest, tail.begin());
      encode(tail.data(), to + whole * layout.bytes);
    }
  });
}

}  // namespace formwork
