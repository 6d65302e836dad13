#include "formwork/kernels/cpu/int4.h"

#include <gtest/gtest.h>

#include "formwork/core/error.h"

namespace formwork {
namespace {

// Random codes, and the weight that they stand for.
struct Weight {
  int64_t outputs, inputs, group;
  at::Tensor codes, scales, zeros;  // codes [O, I]
  at::Tensor packed;                // [O, I / 2]
  Weight(int64_t outputs, int64_t inputs, int64_t group)
      : outputs(outputs),
        inputs(inputs),
        group(group),
        codes(at::randint(16, {outputs, inputs}, at::kByte)),
        scales(at::rand({outputs, inputs / group})),
        zeros(at::randint(16, {outputs, inputs / group}, at::kByte)) {
    const auto pairs = codes.view({outputs, inputs / 2, 2});
    packed = (pairs.select(2, 0) + pairs.select(2, 1) * 16).to(at::kByte).contiguous();
  }
  at::Tensor value() const {
    const auto grouped = codes.view({outputs, inputs / group, group}).to(at::kDouble);
    return ((grouped - zeros.unsqueeze(2)) * scales.unsqueeze(2)).flatten(1);
  }
  Int4Weight raw() const {
    return {outputs,
            inputs,
            group,
            packed.data_ptr<uint8_t>(),
            scales.data_ptr<float>(),
            zeros.data_ptr<uint8_t>()};
  }
};

TEST(Int4, LinearEqualsTheProductOfTheValues) {
  at::manual_seed(1);
  for (auto [rows, inputs, outputs, group] : std::vector<std::array<int64_t, 4>>{{1, 8, 1, 8},
                                                                                 {1, 128, 16, 32},
                                                                                 {3, 192, 17, 64},
                                                                                 {4, 256, 33, 128},
                                                                                 {9, 64, 5, 32},
                                                                                 {6, 48, 7, 16},
                                                                                 {5, 72, 6, 24},
                                                                                 {70, 160, 70, 32}}) {
    const Weight weight(outputs, inputs, group);
    const auto wide = at::randn({rows, inputs + 3}), x = wide.narrow(1, 0, inputs),
               bias = at::randn({outputs});
    for (const bool with_bias : {false, true}) {
      auto y = at::empty({rows, outputs});
      int4_linear(x.data_ptr<float>(), rows, x.stride(0), weight.raw(),
                  with_bias ? bias.data_ptr<float>() : nullptr, y.data_ptr<float>());
      auto want = at::matmul(x.to(at::kDouble), weight.value().t());
      if (with_bias) want = want + bias;
      EXPECT_LT((y - want).abs().max().item<double>() / (1 + want.abs().max().item<double>()), 1e-6)
          << rows << "x" << inputs << "x" << outputs << " group " << group;
    }
  }
}

TEST(Int4, DequantizesAnyRows) {
  at::manual_seed(2);
  for (const int64_t group : {8, 16, 24, 32, 64}) {
    const Weight weight(37, 192, group);
    auto rows = at::empty({20, 192});
    int4_dequantize(weight.raw(), 11, 20, rows.data_ptr<float>());
    EXPECT_LT((rows - weight.value().narrow(0, 11, 20)).abs().max().item<double>(), 1e-5) << group;
  }
}

TEST(Int4, RefusesGroupsThatDoNotDivide) {
  const float x[48] = {};
  float y = 0;
  EXPECT_THROW(int4_linear(x, 1, 48, {1, 48, 32}, nullptr, &y), Error);
  EXPECT_THROW(int4_linear(x, 1, 48, {1, 48, 12}, nullptr, &y), Error);
}

}  // namespace
}  // namespace formwork
