#include "formwork/kernels/cpu/int8.h"

#include <gtest/gtest.h>

#include "formwork/core/error.h"

namespace formwork {
namespace {

struct Quantized {
  at::Tensor codes, scales;
};

Quantized quantize(const at::Tensor& x, const Int8Outliers* outliers = nullptr) {
  Quantized q{at::empty(x.sizes(), at::kChar), at::empty({x.size(0)}, at::kFloat)};
  int8_quantize_rows(x.data_ptr<float>(), x.size(0), x.size(1), x.stride(0), q.codes.data_ptr<int8_t>(),
                     q.scales.data_ptr<float>(), outliers);
  return q;
}

Int8PackedWeight pack(const at::Tensor& codes) {
  return int8_pack_weight(codes.data_ptr<int8_t>(), codes.size(0), codes.size(1));
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const Int8Outliers* outliers, const float* bias) {
  const auto qx = quantize(x, outliers), qw = quantize(w);
  const auto packed = pack(qw.codes);
  auto y = at::empty({x.size(0), w.size(0)}, at::kFloat);
  int8_linear(qx.codes.data_ptr<int8_t>(), qx.scales.data_ptr<float>(), x.size(0), packed,
              qw.scales.data_ptr<float>(), bias, y.data_ptr<float>());
  if (outliers)
    int8_add_outlier_product(x.data_ptr<float>(), x.size(0), x.stride(0), *outliers, packed,
                             qw.scales.data_ptr<float>(), y.data_ptr<float>());
  return y;
}

at::Tensor floats(std::vector<float> values, int64_t rows) {
  return at::tensor(values).reshape({rows, -1}).contiguous();
}

TEST(Int8, ProductIsExact) {
  at::manual_seed(3);
  for (auto [rows, inputs, outputs] : std::vector<std::array<int64_t, 3>>{
           {1, 1, 1}, {1, 64, 16}, {7, 33, 17}, {13, 100, 5}, {20, 257, 48}, {2, 131072, 3}}) {
    auto x = at::randint(-127, 128, {rows, inputs}, at::kChar),
         w = at::randint(-127, 128, {outputs, inputs}, at::kChar);
    if (inputs > 1000) {
      x.fill_(127);
      w.fill_(-127);
    }
    auto sums = at::empty({rows, outputs}, at::kInt);
    int8_product(x.data_ptr<int8_t>(), rows, pack(w), sums.data_ptr<int32_t>());
    const auto want = at::matmul(x.to(at::kLong), w.to(at::kLong).t());
    EXPECT_TRUE(at::equal(sums.to(at::kLong), want)) << rows << "x" << inputs << "x" << outputs;
  }
}

TEST(Int8, CodesRoundHalfToEven) {
  const auto q =
      quantize(floats({127, 0.5f, 1.5f, -2.5f, -3.5f, 126.5f, 0, 0, 63.5f, 0,  // s = 127: codes = values
                       0,   0,    0,    0,     0,     0,      0, 0, 0,     0},
                      2));
  const auto want = at::tensor(std::vector<int64_t>{127, 0, 2, -2, -4, 126, 0, 0, 64, 0}).to(at::kChar);
  EXPECT_TRUE(at::equal(q.codes[0], want));
  EXPECT_TRUE(at::equal(q.codes[1], at::zeros({10}, at::kChar)));
  EXPECT_EQ(q.scales[0].item<float>(), 127);
  EXPECT_EQ(q.scales[1].item<float>(), 0);
  const auto tiny = quantize(floats({1e-40f, -5e-41f, 0}, 1));
  EXPECT_EQ(tiny.codes[0][0].item<int>(), 127);
  EXPECT_EQ(tiny.codes[0][2].item<int>(), 0);
}

TEST(Int8, CodesEqualTheFormula) {
  at::manual_seed(5);
  for (int64_t width : {1, 9, 64, 131}) {
    const auto x = at::randn({5, width}) * 3;
    const auto q = quantize(x);
    const auto s = x.abs().amax(1, true);
    EXPECT_TRUE(at::equal(q.codes, at::round(x * (127 / s)).to(at::kChar)));
    EXPECT_TRUE(at::equal(q.scales, s.squeeze(1)));
  }
}

TEST(Int8, WorkedExample) {
  const auto x = floats({1, -8, 0.5f, 0.5f, 4, -0.25f}, 2),
             w = floats({0.5f, -1, 0.25f, 2, 0.125f, -0.375f}, 2);
  EXPECT_TRUE(at::equal(quantize(w).codes.to(at::kFloat), floats({64, -127, 32, 127, 8, -24}, 2)));
  for (auto row_max : {Int8RowMax::columns, Int8RowMax::values}) {
    const bool columns = row_max == Int8RowMax::columns;
    const auto outliers = int8_find_outliers(x.data_ptr<float>(), 2, 3, 3, 6, row_max);
    EXPECT_EQ(outliers.columns, std::vector<int64_t>{1});
    const auto codes = quantize(x, &outliers).codes.to(at::kFloat);
    EXPECT_TRUE(at::equal(codes[0], floats({127, 0, 64}, 1)[0]));
    EXPECT_TRUE(at::equal(codes[1], columns ? floats({127, 0, -64}, 1)[0] : floats({16, 0, -8}, 1)[0]));
    const auto y = linear(x, w, &outliers, nullptr);
    const auto want = columns ? floats({8.6309f, 0.8017f, -3.8115f, 1.5992f}, 2)
                              : floats({8.6309f, 0.8017f, -3.8095f, 1.6070f}, 2);
    EXPECT_LT((y - want).abs().max().item<float>(), 6e-5);
  }
}

TEST(Int8, GridValuesAreExact) {
  at::manual_seed(6);
  auto x = at::randint(-127, 128, {9, 70}, at::kFloat), w = at::randint(-127, 128, {19, 70}, at::kFloat);
  x.select(1, 3).fill_(127);
  w.select(1, 5).fill_(-127);
  const auto bias = at::randn({19});
  const auto want = at::matmul(x.to(at::kDouble), w.to(at::kDouble).t()) + bias;
  const auto y = linear(x, w, nullptr, bias.data_ptr<float>());
  EXPECT_LT(((y - want).abs() / want.abs().clamp_min(1)).max().item<double>(), 1e-6);
}

TEST(Int8, ErrorStaysInsideTheBound) {
  at::manual_seed(8);
  const int64_t rows = 100, inputs = 96, outputs = 10;
  auto x = at::randn({rows, inputs});
  x.select(1, 11).mul_(10);
  const auto w = at::randn({outputs, inputs});
  const auto outliers = int8_find_outliers(x.data_ptr<float>(), rows, inputs, inputs, 6);
  ASSERT_FALSE(outliers.columns.empty());
  const auto error = (linear(x, w, &outliers, nullptr) - at::matmul(x, w.t())).abs();
  const auto s_w = w.abs().amax(1), s_x = quantize(x, &outliers).scales;
  auto rest = at::ones({inputs});
  for (int64_t i : outliers.columns) rest[i] = 0;
  const auto sx = s_x.unsqueeze(1), sw = s_w.unsqueeze(0);
  const auto kept = rest.sum() * sx * sw / (254.0 * 254.0);
  const auto bound =
      x.abs().sum(1).unsqueeze(1) * sw / 254 + at::matmul(w.abs(), rest).unsqueeze(0) * sx / 254 + kept;
  EXPECT_LT((error - bound).max().item<float>(), 1e-4);
}

TEST(Int8, EveryColumnAnOutlierIsWeightOnly) {
  at::manual_seed(9);
  const auto x = at::randn({3, 8}) + 20, w = at::randn({4, 8});
  const auto outliers = int8_find_outliers(x.data_ptr<float>(), 3, 8, 8, 1e-3f);
  EXPECT_EQ(outliers.columns.size(), 8u);
  const auto qw = quantize(w);
  const auto dequantized = qw.codes.to(at::kFloat) * qw.scales.unsqueeze(1) / 127;
  EXPECT_LT((linear(x, w, &outliers, nullptr) - at::matmul(x, dequantized.t())).abs().max().item<float>(),
            1e-4);
}

TEST(Int8, RefusesThresholdZero) {
  const float x = 1;
  EXPECT_THROW(int8_find_outliers(&x, 1, 1, 1, 0), Error);
}

}  // namespace
}  // namespace formwork
