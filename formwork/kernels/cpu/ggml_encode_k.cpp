// The formats of 256 values with scales of their own for each 32 or 16. Each sub-block's scale (and minimum)
// is the best, by weighted squares, of those that a few grids near the plain one lead to; the scales are
// then rounded to 6 or 8 bits and the codes taken anew.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "formwork/kernels/cpu/ggml_encode.h"
#include "formwork/kernels/cpu/half.h"

namespace formwork {
namespace {

// The nearest integer, half to even, in [low, high].
int nearest_code(float value, int low, int high) {
  return std::clamp(static_cast<int>(std::lrintf(value)), low, high);
}

void put_half(float value, std::uint8_t* to) {
  const std::uint16_t half = float_to_half(value);
  to[0] = static_cast<std::uint8_t>(half), to[1] = static_cast<std::uint8_t>(half >> 8);
}

// value ~ scale * code + min, 32 values, codes 0 .. most.
struct Line {
  float scale = 0, min = 0;
};

struct Moments {
  float weight = 0, x = 0;      // sums of w, w x
  float l = 0, ll = 0, xl = 0;  // and of w l, w l^2, w l x for codes l

  // The line with the smallest weighted squares whose minimum is not above 0; false where codes are alike.
  bool fit(Line& to) const {
    const float determinant = weight * ll - l * l;
    if (!(determinant > 0)) return false;
    to.scale = (weight * xl - x * l) / determinant;
    to.min = (ll * x - l * xl) / determinant;
    if (to.min > 0) to = {xl / ll, 0};
    return true;
  }
};

float weighted_squares(const float* x, const float* w, const std::uint8_t* codes, const Line& line) {
  float sum = 0;
  for (int i = 0; i < 32; ++i) {
    const float off = line.scale * static_cast<float>(codes[i]) + line.min - x[i];
    sum += w[i] * (off * off);
  }
  return sum;
}

// Grids of most + first + k / 10 steps over the range, k = 0 .. count.
struct Search {
  int most;
  float first;
  int count;
};

Line best_line(const float* x, const float* w, const Search& search, std::uint8_t* codes) {
  Moments sums;
  float low = x[0], high = x[0];
  for (int i = 0; i < 32; ++i) {
    low = std::min(low, x[i]), high = std::max(high, x[i]);
    sums.weight += w[i], sums.x += w[i] * x[i];
  }
  low = std::min(low, 0.0f);
  std::memset(codes, 0, 32);
  if (high == low) return {0, low};
  const auto grid = [&](float steps, std::uint8_t* to) {
    const float factor = steps / (high - low);
    for (int i = 0; i < 32; ++i)
      to[i] = static_cast<std::uint8_t>(nearest_code(factor * (x[i] - low), 0, search.most));
    return factor;
  };
  Line best{1 / grid(static_cast<float>(search.most), codes), low};
  float least = weighted_squares(x, w, codes, best);
  for (int k = 0; k <= search.count; ++k) {
    std::uint8_t tried[32];
    grid(search.first + 0.1f * static_cast<float>(k) + static_cast<float>(search.most), tried);
    Moments moments = sums;
    for (int i = 0; i < 32; ++i) {
      const auto l = static_cast<float>(tried[i]);
      moments.l += w[i] * l, moments.ll += w[i] * l * l, moments.xl += w[i] * l * x[i];
    }
    Line line;
    if (!moments.fit(line)) continue;
    const float squares = weighted_squares(x, w, tried, line);
    if (!(squares < least)) continue;
    least = squares, best = line;
    std::memcpy(codes, tried, 32);
  }
  return best;
}

// The 12 bytes of 8 scales and 8 minima, 6 bits each.
void put_scale_min(int j, int scale, int min, std::uint8_t* to) {
  if (j < 4) {
    to[j] = static_cast<std::uint8_t>(scale), to[j + 4] = static_cast<std::uint8_t>(min);
    return;
  }
  to[j + 4] = static_cast<std::uint8_t>((scale & 15) | (min & 15) << 4);
  to[j - 4] = static_cast<std::uint8_t>(to[j - 4] | (scale >> 4) << 6);
  to[j] = static_cast<std::uint8_t>(to[j] | (min >> 4) << 6);
}

// d, m and the 12 bytes; codes [256] of the rounded lines.
void encode_lines(const float* x, const Search& search, std::uint8_t* block, std::uint8_t* codes) {
  Line lines[8];
  float most_scale = 0, most_min = 0;
  for (int j = 0; j < 8; ++j) {
    const float* part = x + 32 * j;
    float squares = 0, weights[32];
    for (int i = 0; i < 32; ++i) squares += part[i] * part[i];
    const float mean = std::sqrt(squares / 32);
    for (int i = 0; i < 32; ++i) weights[i] = mean + std::fabs(part[i]);
    lines[j] = best_line(part, weights, search, codes + 32 * j);
    most_scale = std::max(most_scale, lines[j].scale), most_min = std::max(most_min, -lines[j].min);
  }
  const float scale_factor = most_scale > 0 ? 63.0f / most_scale : 0.0f,
              min_factor = most_min > 0 ? 63.0f / most_min : 0.0f;
  put_half(most_scale / 63.0f, block);
  put_half(most_min / 63.0f, block + 2);
  const float d = half_to_float(float_to_half(most_scale / 63.0f)),
              m = half_to_float(float_to_half(most_min / 63.0f));
  for (int j = 0; j < 8; ++j) {
    const int scale = nearest_code(scale_factor * lines[j].scale, 0, 63),
              min = nearest_code(min_factor * -lines[j].min, 0, 63);
    put_scale_min(j, scale, min, block + 4);
    const float step = d * static_cast<float>(scale), shift = m * static_cast<float>(min);
    if (step == 0) continue;
    for (int i = 32 * j; i < 32 * j + 32; ++i)
      codes[i] = static_cast<std::uint8_t>(nearest_code((x[i] + shift) / step, 0, search.most));
  }
}

// Low halves of 32 bytes hold a sub-block, high halves the next.
void put_low_halves(const std::uint8_t* codes, std::uint8_t* to) {
  for (int j = 0; j < 4; ++j)
    for (int i = 0; i < 32; ++i)
      to[32 * j + i] =
          static_cast<std::uint8_t>((codes[64 * j + i] & 15) | (codes[64 * j + 32 + i] & 15) << 4);
}

// A scale for 16 values and its codes (0 .. 63 for -32 .. 31), by squares weighted with x^2.
float best_scale(const float* x, std::uint8_t* codes) {
  float extreme = 0;
  for (int i = 0; i < 16; ++i)
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  std::memset(codes, 0, 16);
  if (std::fabs(extreme) < 1e-15f) return 0;
  float scale = 0, best = 0;
  const auto attempt = [&](float steps, bool first) {
    const float factor = -steps / extreme;
    float xl = 0, ll = 0;
    std::uint8_t tried[16];
    for (int i = 0; i < 16; ++i) {
      const int code = nearest_code(factor * x[i], -32, 31);
      const float l = static_cast<float>(code), w = x[i] * x[i];
      tried[i] = static_cast<std::uint8_t>(code + 32);
      xl += w * x[i] * l, ll += w * l * l;
    }
    if (!first && !(ll > 0 && xl * xl > best * ll)) return;
    scale = ll > 0 ? xl / ll : 0, best = scale * xl;
    std::memcpy(codes, tried, 16);
  };
  attempt(32, true);
  for (int k = -9; k <= 9; ++k)
    if (k != 0) attempt(32 + 0.1f * static_cast<float>(k), false);
  return scale;
}

}  // namespace

void encode_q4_k(const float* values, std::uint8_t* block) {
  std::uint8_t codes[256];
  std::memset(block, 0, 144);
  encode_lines(values, {15, -1.0f, 20}, block, codes);
  put_low_halves(codes, block + 16);
}

void encode_q5_k(const float* values, std::uint8_t* block) {
  std::uint8_t codes[256];
  std::memset(block, 0, 176);
  encode_lines(values, {31, -0.5f, 15}, block, codes);
  for (int j = 0; j < 8; ++j)
    for (int i = 0; i < 32; ++i)
      block[16 + i] = static_cast<std::uint8_t>(block[16 + i] | (codes[32 * j + i] >> 4) << j);
  put_low_halves(codes, block + 48);
}

void encode_q6_k(const float* values, std::uint8_t* block) {
  float scales[16], extreme = 0;
  std::uint8_t codes[256];
  std::memset(block, 0, 210);
  for (int j = 0; j < 16; ++j) {
    scales[j] = best_scale(values + 16 * j, codes + 16 * j);
    if (std::fabs(scales[j]) > std::fabs(extreme)) extreme = scales[j];
  }
  if (std::fabs(extreme) < 1e-15f) return;
  const float factor = -128.0f / extreme;
  put_half(1 / factor, block + 208);
  const float d = half_to_float(float_to_half(1 / factor));
  for (int j = 0; j < 16; ++j) {
    const int scale = std::min(127, static_cast<int>(std::lrintf(factor * scales[j])));
    block[192 + j] = static_cast<std::uint8_t>(static_cast<std::int8_t>(scale));
    const float step = d * static_cast<float>(scale);
    for (int i = 16 * j; i < 16 * j + 16; ++i) {
      const int code = step != 0 ? nearest_code(values[i] / step, -32, 31) + 32 : codes[i];
      const int half = i / 128, part = i % 128 / 32, at = i % 32;
      std::uint8_t &low = block[64 * half + part % 2 * 32 + at], &high = block[128 + 32 * half + at];
      low = static_cast<std::uint8_t>(low | (code & 15) << (part / 2 * 4));
      high = static_cast<std::uint8_t>(high | (code >> 4) << (2 * part));
    }
  }
}

}  // namespace formwork
