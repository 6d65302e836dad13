#include "formwork/kernels/cpu/int4.h"

#include <gtest/gtest.h>

#include "formwork/core/error.h"

namespace formwork {
namespace {

at::Tensor dequantize(const Int4Codes& c) {
  const auto shape = std::vector<int64_t>{c.outputs, c.inputs / c.group, 1};
  const auto codes = at::tensor(std::vector<int64_t>(c.codes.begin(), c.codes.end())).to(at::kDouble);
  const auto scales = at::tensor(c.scales).to(at::kDouble).reshape(shape);
  const auto zeros = at::tensor(c.zeros).to(at::kDouble).reshape(shape);
  return ((codes.reshape({c.outputs, -1, c.group}) - zeros) * scales).reshape({c.outputs, c.inputs});
}

TEST(Int4, LinearEqualsTheDequantizedProduct) {
  at::manual_seed(1);
  for (bool symmetric : {false, true})
    for (auto [rows, inputs, outputs, group] : std::vector<std::array<int64_t, 4>>{
             {1, 8, 1, 8}, {1, 128, 16, 32}, {3, 192, 17, 64}, {4, 256, 33, 128}, {9, 64, 5, 32}}) {
      const auto w = at::randn({outputs, inputs}), x = at::randn({rows, inputs}), bias = at::randn({outputs});
      const auto codes = int4_quantize(w.data_ptr<float>(), outputs, inputs, group, symmetric);
      auto y = at::empty({rows, outputs});
      int4_linear(x.data_ptr<float>(), rows, inputs, int4_pack(codes), bias.data_ptr<float>(),
                  y.data_ptr<float>());
      const auto want = at::matmul(x.to(at::kDouble), dequantize(codes).t()) + bias;
      EXPECT_LT((y - want).abs().max().item<double>(), 1e-4) << rows << "x" << inputs << "x" << outputs;
    }
}

TEST(Int4, RoundingErrorIsHalfAStep) {
  at::manual_seed(2);
  const auto w = at::randn({7, 64}).mul_(0.02);
  for (bool symmetric : {false, true}) {
    const auto codes = int4_quantize(w.data_ptr<float>(), 7, 64, 32, symmetric);
    const auto step = at::tensor(codes.scales).reshape({7, 2, 1});
    const auto error = (dequantize(codes) - w).abs().reshape({7, 2, 32});
    // An asymmetric zero point is itself rounded, which may cost the ends of the range another half step.
    EXPECT_LT((error / step).max().item<double>(), symmetric ? 0.5001 : 1.0001);
  }
}

TEST(Int4, WorkedExample) {
  const std::vector<float> w{-1, -0.8f, -0.6f, -0.4f, 0, 0.4f, 1.2f, 2};
  const auto codes = int4_quantize(w.data(), 1, 8, 8, false);
  EXPECT_FLOAT_EQ(codes.scales[0], 0.2f);
  EXPECT_EQ(codes.zeros[0], 5);
  EXPECT_EQ(codes.codes, (std::vector<uint8_t>{0, 1, 2, 3, 5, 7, 11, 15}));
  const std::vector<float> v{-7, 7, 3, -3, 0, 1, 2, -1};
  EXPECT_EQ(int4_quantize(v.data(), 1, 8, 8, true).codes, (std::vector<uint8_t>{1, 15, 11, 5, 8, 9, 10, 7}));
}

TEST(Int4, PackingRoundTrips) {
  at::manual_seed(3);
  const auto w = at::randn({19, 96});
  const auto codes = int4_quantize(w.data_ptr<float>(), 19, 96, 32, false);
  const auto packed = int4_pack(codes);
  EXPECT_EQ(packed.words.size() * 4, 32 * 96 / 2u);
  const auto back = int4_unpack(packed);
  EXPECT_EQ(back.codes, codes.codes);
  EXPECT_EQ(back.scales, codes.scales);
  EXPECT_EQ(back.zeros, codes.zeros);
}

TEST(Int4, ZeroGroupStaysZero) {
  const std::vector<float> w(16, 0.0f);
  for (bool symmetric : {false, true}) {
    const auto codes = int4_quantize(w.data(), 2, 8, 8, symmetric);
    EXPECT_EQ(dequantize(codes).abs().max().item<double>(), 0);
  }
}

TEST(Int4, RefusesGroupsThatDoNotDivide) {
  const std::vector<float> w(48, 1.0f);
  EXPECT_THROW(int4_quantize(w.data(), 1, 48, 32, true), Error);
  EXPECT_THROW(int4_quantize(w.data(), 1, 48, 12, true), Error);
}

}  // namespace
}  // namespace formwork
