#include "formwork/kernels/cpu/int8.h"

#include <gtest/gtest.h>

#include "formwork/core/error.h"

namespace formwork {
namespace {

Int8Input input(const at::Tensor& x, const Int8Outliers* outliers = nullptr) {
  return {x.data_ptr<float>(), x.size(0), x.size(1), outliers};
}

struct Quantized {
  at::Tensor codes, scales, zeros;
  Int8Side side(const at::Tensor& sums = {}) const {
    return {codes.data_ptr<int8_t>(), codes.size(0), scales.data_ptr<float>(),
            zeros.defined() ? zeros.data_ptr<float>() : nullptr,
            sums.defined() ? sums.data_ptr<int32_t>() : nullptr};
  }
};

Quantized quantize(const at::Tensor& x, const Int8Outliers* outliers = nullptr, bool shared = false) {
  Quantized q{at::empty(x.sizes(), at::kChar), at::empty({x.size(0)}, at::kFloat), {}};
  int8_row_scales(input(x, outliers), shared, q.scales.data_ptr<float>());
  int8_quantize_rows(input(x, outliers), q.scales.data_ptr<float>(), q.codes.data_ptr<int8_t>());
  return q;
}

Quantized quantize_ranges(const at::Tensor& x, const Int8Outliers* outliers = nullptr, bool shared = false) {
  Quantized q{at::empty(x.sizes(), at::kChar), at::empty({x.size(0)}, at::kFloat),
              at::empty({x.size(0)}, at::kFloat)};
  int8_row_ranges(input(x, outliers), shared, q.scales.data_ptr<float>(), q.zeros.data_ptr<float>());
  int8_quantize_ranges(input(x, outliers), q.scales.data_ptr<float>(), q.zeros.data_ptr<float>(),
                       q.codes.data_ptr<int8_t>());
  return q;
}

at::Tensor code_sums(const at::Tensor& codes, const std::vector<int64_t>& without = {}) {
  auto sums = at::empty({codes.size(0)}, at::kInt);
  int8_code_sums(codes.data_ptr<int8_t>(), codes.size(0), codes.size(1), without, sums.data_ptr<int32_t>());
  return sums;
}

at::Tensor value(const Quantized& q) {
  auto codes = q.codes.to(at::kDouble);
  if (q.zeros.defined()) codes = codes + q.zeros.to(at::kDouble).unsqueeze(1);
  return codes * q.scales.to(at::kDouble).unsqueeze(1) / 127;
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const Int8Outliers* outliers, const float* bias) {
  const auto qx = quantize(x, outliers), qw = quantize(w);
  auto y = at::empty({x.size(0), w.size(0)}, at::kFloat);
  int8_linear(qx.side(), qw.side(), x.size(1), x.size(1), bias, y.data_ptr<float>());
  if (outliers) {
    const auto columns =
        value(qw).to(at::kFloat).index_select(1, at::tensor(outliers->columns)).t().contiguous();
    int8_add_outlier_product(input(x, outliers), columns.data_ptr<float>(), w.size(0), y.data_ptr<float>());
  }
  return y;
}

at::Tensor floats(std::vector<float> values, int64_t rows) {
  return at::tensor(values).reshape({rows, -1}).contiguous();
}

Int8Outliers find(const at::Tensor& x, float threshold, Int8RowMax row_max = Int8RowMax::columns) {
  return {int8_find_outliers(input(x), threshold), threshold, row_max};
}

// Every kernel that this processor runs, against 64-bit integers: so they also equal each other bit for bit.
TEST(Int8, ProductsAreExactInEveryKernel) {
  at::manual_seed(3);
  EXPECT_EQ(int8_kernels().front(), Int8Kernel::portable);
  for (auto [rows, inputs, outputs] : std::vector<std::array<int64_t, 3>>{{1, 1, 1},
                                                                          {1, 64, 16},
                                                                          {7, 33, 17},
                                                                          {13, 100, 5},
                                                                          {20, 257, 48},
                                                                          {70, 130, 19},
                                                                          {2, 131072, 3},
                                                                          {64, 4096, 16},
                                                                          {65, 5000, 3}}) {
    auto x = at::randint(-127, 128, {rows, inputs}, at::kChar),
         w = at::randint(-127, 128, {outputs, inputs}, at::kChar);
    if (inputs == 131072) {
      x.fill_(127);
      w.fill_(-127);
      w[0].fill_(127);
    }
    const auto want = at::matmul(x.to(at::kLong), w.to(at::kLong).t());
    for (const auto kernel : int8_kernels()) {
      auto sums = at::empty({rows, outputs}, at::kInt);
      int8_product(kernel, x.data_ptr<int8_t>(), rows, w.data_ptr<int8_t>(), outputs, inputs,
                   sums.data_ptr<int32_t>());
      EXPECT_TRUE(at::equal(sums.to(at::kLong), want))
          << "kernel " << static_cast<int>(kernel) << ": " << rows << "x" << inputs << "x" << outputs;
    }
  }
}

TEST(Int8, TakesTheBestKernelThatThereIs) {
  const auto kernels = int8_kernels();
  const auto has = [&](Int8Kernel k) {
    return std::find(kernels.begin(), kernels.end(), k) != kernels.end();
  };
  EXPECT_EQ(int8_kernel_for(1), has(Int8Kernel::vnni) ? Int8Kernel::vnni : Int8Kernel::portable);
  EXPECT_EQ(int8_kernel_for(64), has(Int8Kernel::amx) ? Int8Kernel::amx : int8_kernel_for(1));
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
    for (const bool shared : {false, true}) {
      const auto q = quantize(x, nullptr, shared);
      const auto s = shared ? x.abs().max().expand({5, 1}) : x.abs().amax(1, true);
      EXPECT_TRUE(at::equal(q.codes, at::round(x * (127 / s)).to(at::kChar)));
      EXPECT_TRUE(at::equal(q.scales, s.squeeze(1)));
    }
  }
}

TEST(Int8, ZeroPointCodesEqualTheFormula) {
  at::manual_seed(6);
  const auto x = at::randn({5, 40}) + 2;
  for (const bool shared : {false, true}) {
    const auto q = quantize_ranges(x, nullptr, shared);
    const auto wide = x.to(at::kDouble);
    const auto low = shared ? wide.min().expand({5, 1}) : wide.amin(1, true);
    const auto high = shared ? wide.max().expand({5, 1}) : wide.amax(1, true);
    const auto nd = 254 / (high - low);
    const auto code = (nd * wide).round() - (nd * low).round() - 127;
    EXPECT_LE((code - q.codes).abs().max().item<double>(), 1);  // nd is rounded to float with the scale
    EXPECT_LT((code != q.codes).to(at::kDouble).mean().item<double>(), 0.01);
    EXPECT_LE((value(q) - wide).abs().max().item<double>(), 0.5001 / nd.min().item<double>());
    EXPECT_EQ(q.codes.min().item<int>(), -127);
    EXPECT_GE(q.codes.max().item<int>(), 126);
  }
}

TEST(Int8, ZeroPointRowsWithoutRangeAreExact) {
  const auto x = floats({5, 5, 5, -0.3f, -0.3f, -0.3f, 0, 0, 0, 1e-42f, 1e-42f, 1e-42f, 3e38f, -3e38f, 0}, 5);
  const auto q = quantize_ranges(x);
  EXPECT_LT((value(q).narrow(0, 0, 2) - x.narrow(0, 0, 2)).abs().max().item<double>(), 1e-6);
  EXPECT_TRUE(at::equal(q.codes[2], at::zeros({3}, at::kChar)));
  EXPECT_EQ(q.scales[2].item<float>(), 1);
  EXPECT_EQ(q.zeros[2].item<float>(), 0);
  EXPECT_TRUE(value(q).isfinite().all().item<bool>());
  EXPECT_LT((value(q)[4] - x[4]).abs().max().item<double>(), 3e38 / 127);
}

TEST(Int8, ZeroPointProductsEqualThoseOfTheValues) {
  at::manual_seed(7);
  for (const float offset : {0.0f, 3.0f, -1000.0f}) {
    auto x = at::randn({9, 70}) + offset;
    const auto w = at::randn({19, 70}) - offset;
    const Int8Outliers outliers{{3, 68}, std::abs(offset) + 1, Int8RowMax::columns};
    const auto qx = quantize_ranges(x, &outliers), qw = quantize_ranges(w);
    auto y = at::empty({9, 19}, at::kFloat);
    int8_linear(qx.side(code_sums(qx.codes)), qw.side(code_sums(qw.codes, outliers.columns)), 70, 68, nullptr,
                y.data_ptr<float>());
    const auto others = at::ones({70}, at::kDouble);
    for (const int64_t i : outliers.columns) others[i] = 0;
    const auto want = at::matmul(value(qx) * others, value(qw).t());
    EXPECT_LT((y - want).abs().max().item<double>() / want.abs().max().item<double>(), 1e-6) << offset;
  }
}

TEST(Int8, WorkedExample) {
  const auto x = floats({1, -8, 0.5f, 0.5f, 4, -0.25f}, 2),
             w = floats({0.5f, -1, 0.25f, 2, 0.125f, -0.375f}, 2);
  EXPECT_TRUE(at::equal(quantize(w).codes.to(at::kFloat), floats({64, -127, 32, 127, 8, -24}, 2)));
  for (auto row_max : {Int8RowMax::columns, Int8RowMax::values}) {
    const bool columns = row_max == Int8RowMax::columns;
    const auto outliers = find(x, 6, row_max);
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
  const auto outliers = find(x, 6);
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
  const auto x = at::randn({3, 8}) + 20, w = at::randn({37, 8});
  const auto outliers = find(x, 1e-3f);
  EXPECT_EQ(outliers.columns.size(), 8u);
  const auto want = at::matmul(x.to(at::kDouble), value(quantize(w)).t());
  EXPECT_LT((linear(x, w, &outliers, nullptr) - want).abs().max().item<float>(), 1e-4);
}

TEST(Int8, RowsThatAreNotFiniteHaveNoScale) {
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY})
    for (const int64_t place : {0, 17, 34}) {
      auto x = at::randn({3, 35});
      x[1][place] = bad;
      const auto q = quantize(x), r = quantize_ranges(x);
      for (const auto& scales : {q.scales, r.scales}) {
        EXPECT_TRUE(std::isnan(scales[1].item<float>())) << bad << " at " << place;
        EXPECT_TRUE(std::isfinite(scales[0].item<float>()) && std::isfinite(scales[2].item<float>()));
      }
      EXPECT_TRUE(at::isnan(quantize(x, nullptr, true).scales).all().item<bool>());
      EXPECT_TRUE(at::isnan(quantize_ranges(x, nullptr, true).scales).all().item<bool>());
      EXPECT_EQ(int8_find_outliers(input(x), 100).size(), 0u);
    }
}

TEST(Int8, RefusesThresholdZero) {
  const float x = 1;
  EXPECT_THROW(int8_find_outliers({&x, 1, 1}, 0), Error);
}

}  // namespace
}  // namespace formwork
