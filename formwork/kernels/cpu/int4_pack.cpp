#include "formwork/core/error.h"
#include "formwork/kernels/cpu/int4.h"

namespace formwork {
namespace {

constexpr int64_t kPanel = 16;

struct Range {
  float low = 0, high = 0;
};

Range range_of(const float* w, int64_t count) {
  Range r;
  for (int64_t i = 0; i < count; ++i) {
    r.low = std::min(r.low, w[i]);
    r.high = std::max(r.high, w[i]);
  }
  return r;
}

void quantize_group(const float* w, int64_t count, bool symmetric, uint8_t* codes, float* scale,
                    float* zero) {
  const auto [low, high] = range_of(w, count);
  const float step = symmetric ? std::max(-low, high) / 7 : (high - low) / 15;
  *scale = step > 0 ? step : 1;
  *zero = symmetric ? 8 : std::clamp(std::nearbyint(-low / *scale), 0.0f, 15.0f);
  for (int64_t i = 0; i < count; ++i)
    codes[i] = static_cast<uint8_t>(std::clamp(std::nearbyint(w[i] / *scale) + *zero, 0.0f, 15.0f));
}

int64_t word_index(int64_t inputs, int64_t output, int64_t input) {
  return (output / kPanel * (inputs / 8) + input / 8) * kPanel + output % kPanel;
}

int64_t group_index(int64_t groups, int64_t output, int64_t g) {
  return (output / kPanel * groups + g) * kPanel + output % kPanel;
}

}  // namespace

Int4Codes int4_quantize(const float* w, int64_t outputs, int64_t inputs, int64_t group, bool symmetric) {
  if (group < 8 || group % 8 != 0 || inputs % group != 0)
    fail("int4: expected a group that is a multiple of 8 and divides the {} inputs, found {}", inputs, group);
  const int64_t groups = inputs / group;
  Int4Codes out{outputs, inputs, group, {}, {}, {}};
  out.codes.resize(outputs * inputs);
  out.scales.resize(outputs * groups);
  out.zeros.resize(outputs * groups);
  for (int64_t k = 0; k < outputs * groups; ++k)
    quantize_group(w + k * group, group, symmetric, &out.codes[k * group], &out.scales[k], &out.zeros[k]);
  return out;
}

Int4PackedWeight int4_pack(const Int4Codes& codes) {
  const int64_t panels = (codes.outputs + kPanel - 1) / kPanel, groups = codes.inputs / codes.group;
  Int4PackedWeight out{codes.outputs, codes.inputs, codes.group, {}, {}, {}};
  out.words.assign(panels * codes.inputs / 8 * kPanel, 0);
  out.scales.assign(panels * groups * kPanel, 0);
  out.zeros.assign(panels * groups * kPanel, 0);
  for (int64_t o = 0; o < codes.outputs; ++o) {
    for (int64_t i = 0; i < codes.inputs; ++i)
      out.words[word_index(codes.inputs, o, i)] |= uint32_t{codes.codes[o * codes.inputs + i]} << (i % 8 * 4);
    for (int64_t g = 0; g < groups; ++g) {
      out.scales[group_index(groups, o, g)] = codes.scales[o * groups + g];
      out.zeros[group_index(groups, o, g)] = codes.zeros[o * groups + g];
    }
  }
  return out;
}

Int4Codes int4_unpack(const Int4PackedWeight& weight) {
  const int64_t groups = weight.inputs / weight.group;
  Int4Codes out{weight.outputs, weight.inputs, weight.group, {}, {}, {}};
  for (int64_t o = 0; o < weight.outputs; ++o) {
    for (int64_t i = 0; i < weight.inputs; ++i)
      out.codes.push_back(weight.words[word_index(weight.inputs, o, i)] >> (i % 8 * 4) & 15);
    for (int64_t g = 0; g < groups; ++g) {
      out.scales.push_back(weight.scales[group_index(groups, o, g)]);
      out.zeros.push_back(weight.zeros[group_index(groups, o, g)]);
    }
  }
  return out;
}

}  // namespace formwork
