#include "formwork/mixers/recurrent/complex_scan.h"

#include <gtest/gtest.h>

#include "formwork/mixers/recurrent/chunked_scan.h"
#include "formwork/report/tensor_peak.h"
#include "mixer_alone.h"
#include "random_scan.h"

namespace formwork {
namespace {

struct ComplexCase {
  SelectiveScan scan;
  Tensor W;
};

ComplexCase random_complex(int64_t batch, int64_t length, int64_t channels, int64_t states, bool constant,
                           at::ScalarType type = at::kDouble) {
  auto s = random_scan(batch, length, channels, states, type);
  const auto shape =
      constant ? std::vector<int64_t>{channels, states, 2} : std::vector<int64_t>{batch, length, states, 2};
  s.B = at::randn(shape, type), s.C = at::randn(shape, type);
  s.h0 = at::randn({batch, channels, states, 2}, type);
  return {s, at::randn({channels, states}, type) * 5};
}

// Token by token in complex numbers.
std::pair<Tensor, Tensor> complex_recurrence(const SelectiveScan& s, const Tensor& W) {
  const auto number = [](const Tensor& x) { return at::view_as_complex(x.contiguous()); };
  const auto a = at::complex(s.A, W), B = number(s.B), C = number(s.C);
  auto h = number(s.h0);
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < s.x.size(1); ++t) {
    const auto at_token = [&](const Tensor& x) { return x.dim() == 3 ? x.select(1, t).unsqueeze(1) : x; };
    const auto delta = s.delta.select(1, t).unsqueeze(-1), x = s.x.select(1, t);
    const auto decay = (delta * a).exp();
    h = decay * h + (s.zoh ? (decay - 1) / a : delta + 0 * a) * at_token(B) * x.unsqueeze(-1);
    const auto y = 2 * at::real((at_token(C) * h).sum(-1)) + s.D * x;
    rows.push_back(y * at::silu(s.z.select(1, t)));
  }
  return {at::stack(rows, 1), at::view_as_real(h)};
}

TEST(ComplexScan, EqualsTheRecurrenceInComplexNumbers) {
  at::manual_seed(21);
  for (const bool zoh : {false, true})
    for (const bool constant : {false, true})
      for (const bool plain : {false, true})
        for (const int64_t length : {1, 7, 64, 257}) {
          auto [s, W] = random_complex(2, length, 3, 2, constant);
          s.zoh = zoh;
          const auto [y, h] = complex_scan(s, W, plain);
          const auto [right_y, right_h] = complex_recurrence(s, W);
          EXPECT_LT(distance(y, right_y), 1e-10 * right_y.abs().max().item<double>()) << length;
          EXPECT_LT(distance(h, right_h), 1e-10 * right_h.abs().max().item<double>()) << length;
        }
}

// Over three chunks, the last of them short; with and without a state before and a gradient of the one after.
TEST(ComplexScan, ChunksHaveTheGradientsOfTheWhole) {
  at::manual_seed(27);
  for (const bool zoh : {false, true})
    for (const bool constant : {false, true})
      for (const bool with_states : {false, true}) {
        auto [scan, frequencies] = random_complex(2, 2 * kScanChunk + 9, 3, 2, constant);
        auto& s = scan;
        auto& W = frequencies;
        s.zoh = zoh;
        if (!with_states) s.h0 = Tensor();
        std::vector<Tensor> inputs;
        for (Tensor* t : {&s.delta, &s.A, &s.B, &s.C, &s.x, &s.D, &s.z, &s.h0, &W})
          if (t->defined()) inputs.push_back(t->set_requires_grad(true));
        const auto gradients = [&](bool plain) {
          const auto [y, h] = complex_scan(s, W, plain);
          return torch::autograd::grad({y.square().sum() + (with_states ? h.sin().sum() : 0 * y.sum())},
                                       inputs);
        };
        const auto chunked = gradients(false), whole = gradients(true);
        for (size_t i = 0; i < inputs.size(); ++i)
          EXPECT_LT(distance(chunked[i], whole[i]), 1e-9 * (1 + whole[i].abs().max().item<double>())) << i;
      }
}

TEST(SelectiveScan, ConstantsInChunksHaveTheGradientsOfTheWhole) {
  at::manual_seed(28);
  auto s = random_scan(2, 2 * kScanChunk + 9, 3, 4, at::kDouble);
  s.B = at::randn({3, 4}, at::kDouble);  // C still follows the token
  std::vector<Tensor> inputs;
  for (Tensor* t : {&s.delta, &s.A, &s.B, &s.C, &s.x, &s.D, &s.z, &s.h0})
    inputs.push_back(t->set_requires_grad(true));
  const auto gradients = [&](bool plain) {
    const auto [y, h] = selective_scan(s, plain);
    return torch::autograd::grad({y.square().sum() + h.sin().sum()}, inputs);
  };
  const auto chunked = gradients(false), whole = gradients(true);
  for (size_t i = 0; i < inputs.size(); ++i)
    EXPECT_LT(distance(chunked[i], whole[i]), 1e-9 * (1 + whole[i].abs().max().item<double>())) << i;
}

TEST(ComplexScan, MemoryOfATrainingPassIsThatOfAChunk) {
  const auto peak = [](int64_t length) {
    auto [s, W] = random_complex(1, length, 4, 64, true, at::kFloat);
    for (Tensor* t : {&s.delta, &s.A, &s.B, &s.C, &s.x, &W}) t->set_requires_grad(true);
    TensorPeak memory;
    complex_scan(s, W, false).first.sum().backward();
    return static_cast<double>(memory.bytes());
  };
  const double few = peak(2 * kScanChunk), many = peak(16 * kScanChunk);
  // One tensor of states of the longer rows alone.
  const double states = 16.0 * kScanChunk * 4 * 64 * 8;
  EXPECT_LT(many - few, 0.5 * states);
}

TEST(ComplexScan, StaysExactInFloat32) {
  at::manual_seed(22);
  auto [s, W] = random_complex(1, 257, 3, 2, false);
  const auto right = complex_scan(s, W, false).first;
  for (Tensor* t : {&s.delta, &s.A, &s.B, &s.C, &s.x, &s.D, &s.z, &s.h0}) *t = t->to(at::kFloat);
  const auto y = complex_scan(s, W.to(at::kFloat), false).first;
  EXPECT_LT(distance(y.to(at::kDouble), right), 1e-5 * right.abs().max().item<double>());
}

TEST(ComplexScan, FrequencyZeroIsTwiceTheRealScan) {
  at::manual_seed(23);
  for (const bool zoh : {false, true}) {
    auto s = random_scan(2, 30, 3, 2, at::kDouble);
    s.D = s.z = Tensor(), s.zoh = zoh;
    const auto real = selective_scan(s, false);
    auto pair = s;
    const auto with_zero = [](const Tensor& x) { return at::stack({x, at::zeros_like(x)}, -1); };
    pair.B = with_zero(s.B), pair.C = with_zero(s.C), pair.h0 = with_zero(s.h0);
    const auto [y, h] = complex_scan(pair, at::zeros_like(s.A), false);
    EXPECT_LT(distance(y, 2 * real.first), 1e-12);
    EXPECT_LT(distance(h, with_zero(real.second)), 1e-12);
  }
}

TEST(ComplexScan, StepsOfNearlyNothingHoldExactly) {
  // The input factor (e^p - 1) / A where p is small cancels; its limit is delta.
  for (const double step : {0.0, 1e-12, 1e-6, 1e-3, 0.01}) {
    auto [s, W] = random_complex(1, 1, 1, 1, false);
    s.zoh = true, s.delta.fill_(step), s.A.fill_(-1), W.fill_(3), s.h0.zero_();
    const auto h = at::view_as_complex(complex_scan(s, W, false).second.contiguous());
    const c10::complex<double> a(-1, 3);
    // Its series to the fourth order is exact to 1e-9 relative here.
    const auto p = a * step;
    const auto factor = step * (1.0 + p / 2.0 + p * p / 6.0 + p * p * p / 24.0 + p * p * p * p / 120.0);
    const auto B = at::view_as_complex(s.B.contiguous());
    const auto right = B.flatten()[0].item<c10::complex<double>>() * factor * s.x.flatten()[0].item<double>();
    EXPECT_NEAR(std::abs(h.flatten()[0].item<c10::complex<double>>() - right), 0,
                1e-9 * (std::abs(right) + 1e-300))
        << step;
  }
}

TEST(SelectiveScanMatrix, TimesTheInputIsTheScan) {
  at::manual_seed(24);
  for (const bool zoh : {false, true})
    for (const bool constant : {false, true}) {
      auto s = random_scan(2, 19, 3, 4, at::kDouble);
      if (constant) s.B = at::randn({3, 4}, at::kDouble), s.C = at::randn({3, 4}, at::kDouble);
      auto [c, W] = random_complex(2, 19, 3, 4, constant);
      const auto check = [&](SelectiveScan scan, const Tensor& frequencies) {
        scan.h0 = scan.z = Tensor(), scan.zoh = zoh;
        const auto y =
            (frequencies.defined() ? complex_scan(scan, frequencies, false) : selective_scan(scan, false))
                .first;
        const auto m = selective_scan_matrix(scan, frequencies);
        EXPECT_EQ(m.sizes(), at::IntArrayRef({2, 3, 19, 19}));
        EXPECT_EQ(m.triu(1).abs().max().item<double>(), 0);
        const auto product = m.matmul(scan.x.transpose(1, 2).unsqueeze(-1)).squeeze(-1).transpose(1, 2);
        EXPECT_LT(distance(product, y), 1e-11 * (1 + y.abs().max().item<double>()));
      };
      check(s, {});
      check(c, W);
    }
}

TEST(SelectiveScanMatrix, GoldenWeights) {
  // exp(-ln 2) = 1/2: each step halves what ln 2 of an input has left.
  const auto ones = at::ones({3}, at::kDouble);
  const auto m = selective_scan_matrix(single(ones * std::log(2.0), ones), {})[0][0];
  for (int64_t t = 0; t < 3; ++t)
    for (int64_t s = 0; s <= t; ++s)
      EXPECT_NEAR(m[t][s].item<double>(), std::log(2.0) * std::pow(0.5, static_cast<double>(t - s)), 1e-12);
}

TEST(SelectiveScanMatrix, LongGapsDoNotOverflow) {
  auto s = single(at::full({400}, 5.0, at::kDouble), at::ones({400}, at::kDouble).clone());
  s.delta.set_requires_grad(true);
  const auto m = selective_scan_matrix(s, {});
  EXPECT_TRUE(m.isfinite().all().item<bool>());
  EXPECT_TRUE(torch::autograd::grad({m.sum()}, {s.delta})[0].isfinite().all().item<bool>());
}

TEST(ComplexScan, ConstantsAreACausalConvolution) {
  at::manual_seed(25);
  const int64_t length = 40, channels = 3, states = 2;
  auto [s, W] = random_complex(2, length, channels, states, true);
  s.h0 = s.z = s.D = Tensor();
  const auto delta = at::rand({channels}, at::kDouble) * 0.3;
  s.delta = delta.expand({2, length, channels});
  const auto number = [](const Tensor& x) { return at::view_as_complex(x.contiguous()); };
  const auto a = at::complex(s.A, W);
  auto expected = at::zeros_like(s.x);
  for (int64_t k = 0; k < length; ++k) {
    const auto decay = (delta.unsqueeze(1) * a * static_cast<double>(k)).exp();
    const auto kernel = 2 * at::real((number(s.C) * decay * delta.unsqueeze(1) * number(s.B)).sum(1));
    expected.narrow(1, k, length - k).add_(s.x.narrow(1, 0, length - k) * kernel);
  }
  EXPECT_LT(distance(complex_scan(s, W, false).first, expected), 1e-10);
}

}  // namespace
}  // namespace formwork
