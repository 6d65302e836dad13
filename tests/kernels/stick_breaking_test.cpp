#include "formwork/kernels/cpu/stick_breaking.h"

#include <gtest/gtest.h>

#include "formwork/core/error.h"

namespace formwork {
namespace {

struct Case {
  int64_t batch, heads, key_heads, queries, keys, width, offset;
  bool lengths = false;
};

template <class T>
HeadView<T> view(const at::Tensor& x) {
  return {const_cast<T*>(x.const_data_ptr<std::remove_const_t<T>>()), x.stride(0), x.stride(1), x.stride(2)};
}

std::vector<int64_t> make_lengths(const Case& c) {
  std::vector<int64_t> lengths(c.batch);
  for (int64_t b = 0; b < c.batch; ++b) lengths[b] = std::max<int64_t>(0, c.keys - 3 * b);
  return lengths;
}

// Product form, in double: differentiable oracle.
at::Tensor oracle(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Case& c,
                  double scale) {
  const int64_t group = c.heads / c.key_heads;
  const auto logits = at::matmul(q, k.repeat_interleave(group, 1).transpose(2, 3)) * scale;
  auto seen = at::arange(c.keys).unsqueeze(0).le(at::arange(c.queries).unsqueeze(1) + c.offset);
  seen = seen.unsqueeze(0).unsqueeze(0);
  if (c.lengths) seen = seen & at::arange(c.keys).lt(at::tensor(make_lengths(c)).reshape({-1, 1, 1, 1}));
  const auto beta = at::sigmoid(logits) * seen;
  const auto suffix = at::flip(at::cumprod(at::flip(1 - beta, {3}), 3), {3});
  const auto after = at::cat({suffix.narrow(3, 1, c.keys - 1), at::ones_like(suffix.narrow(3, 0, 1))}, 3);
  return at::matmul(beta * after, v.repeat_interleave(group, 1));
}

// A [B, heads, T, d] view into [B, T, heads * d], as a projection leaves it.
at::Tensor strided(int64_t b, int64_t h, int64_t t, int64_t d, at::ScalarType type) {
  return at::randn({b, t, h, d}, type).transpose(1, 2);
}

template <class T>
StickBreakingInput<T> describe(const Case& c, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               const std::vector<int64_t>& lengths, double scale) {
  return {c.batch,
          c.heads,
          c.key_heads,
          c.queries,
          c.keys,
          c.width,
          static_cast<T>(scale),
          c.offset,
          c.lengths ? lengths.data() : nullptr,
          view<const T>(q),
          view<const T>(k),
          view<const T>(v)};
}

const std::vector<Case> cases{{1, 1, 1, 1, 1, 1, 0},     {2, 4, 2, 7, 7, 5, 0, true},
                              {1, 2, 1, 33, 70, 16, 37}, {2, 2, 2, 65, 130, 9, 65, true},
                              {1, 3, 1, 4, 3, 8, 0},     {1, 1, 1, 5, 6, 3, 20}};

TEST(StickBreaking, ForwardEqualsTheProductForm) {
  at::manual_seed(2);
  for (const auto& c : cases) {
    const double scale = 1.7 / std::sqrt(double(c.width));
    const auto q = strided(c.batch, c.heads, c.queries, c.width, at::kDouble);
    const auto k = strided(c.batch, c.key_heads, c.keys, c.width, at::kDouble);
    const auto v = strided(c.batch, c.key_heads, c.keys, c.width, at::kDouble);
    const auto lengths = make_lengths(c);
    auto o = at::empty_like(q);
    stick_breaking_forward(describe<double>(c, q, k, v, lengths, scale), view<double>(o));
    const auto want = oracle(q, k, v, c, scale);
    EXPECT_LT((o - want).abs().max().item<double>(), 1e-10) << c.queries << " of " << c.keys;

    const auto qf = q.to(at::kFloat), kf = k.to(at::kFloat), vf = v.to(at::kFloat);
    auto of = at::empty_like(qf);
    stick_breaking_forward(describe<float>(c, qf, kf, vf, lengths, scale), view<float>(of));
    EXPECT_LT((of - want).abs().max().item<double>(), 1e-5);
  }
}

TEST(StickBreaking, GradientsEqualAutograd) {
  at::manual_seed(4);
  for (const auto& c : cases) {
    const double scale = 1.3 / std::sqrt(double(c.width));
    const auto q = strided(c.batch, c.heads, c.queries, c.width, at::kDouble);
    const auto k = strided(c.batch, c.key_heads, c.keys, c.width, at::kDouble);
    const auto v = strided(c.batch, c.key_heads, c.keys, c.width, at::kDouble);
    const auto lengths = make_lengths(c);
    const auto in = describe<double>(c, q, k, v, lengths, scale);
    auto o = at::empty_like(q);
    stick_breaking_forward(in, view<double>(o));
    const auto d_o = at::randn_like(o);
    auto dq = at::full_like(q, 1e9), dk = at::full_like(k, 1e9), dv = at::full_like(v, 1e9);
    stick_breaking_backward(in, view<const double>(o), view<const double>(d_o), view<double>(dq),
                            view<double>(dk), view<double>(dv));
    auto lq = q.clone().set_requires_grad(true), lk = k.clone().set_requires_grad(true);
    auto lv = v.clone().set_requires_grad(true);
    (oracle(lq, lk, lv, c, scale) * d_o).sum().backward();
    EXPECT_LT((dq - lq.grad()).abs().max().item<double>(), 1e-9) << c.queries << " of " << c.keys;
    EXPECT_LT((dk - lk.grad()).abs().max().item<double>(), 1e-9) << c.queries << " of " << c.keys;
    EXPECT_LT((dv - lv.grad()).abs().max().item<double>(), 1e-9) << c.queries << " of " << c.keys;
  }
}

// With v the identity the output is the weights; logits come from q = (1) and the keys.
std::vector<double> weights(const std::vector<double>& logits) {
  const int64_t n = logits.size();
  auto q = at::zeros({1, 1, 1, n}, at::kDouble), k = at::zeros({1, 1, n, n}, at::kDouble);
  q[0][0][0][0] = 1;
  for (int64_t j = 0; j < n; ++j) k[0][0][j][0] = logits[j];
  const auto v = at::eye(n, at::kDouble).reshape({1, 1, n, n});
  auto o = at::empty({1, 1, 1, n}, at::kDouble);
  stick_breaking_forward(describe<double>({1, 1, 1, 1, n, n, n - 1}, q, k, v, {}, 1), view<double>(o));
  return {o.data_ptr<double>(), o.data_ptr<double>() + n};
}

TEST(StickBreaking, WorkedExample) {
  const auto a = weights({0, std::log(3.0), -std::log(3.0)});
  EXPECT_NEAR(a[0], 0.09375, 1e-12);
  EXPECT_NEAR(a[1], 0.5625, 1e-12);
  EXPECT_NEAR(a[2], 0.25, 1e-12);
}

TEST(StickBreaking, EqualLogitsHalveTheStick) {
  const auto a = weights(std::vector<double>(70, 0.0));
  for (int64_t j = 0; j < 70; ++j) EXPECT_NEAR(a[j] * std::pow(2.0, 70 - j), 1.0, 1e-11);
}

TEST(StickBreaking, LargeLogitsTakeTheOwnKey) {
  const auto a = weights(std::vector<double>(9, 60.0));
  EXPECT_NEAR(a[8], 1, 1e-12);
  EXPECT_LT(a[7], 1e-12);
  for (double far : weights({-2000, 2000, -2000})) EXPECT_TRUE(std::isfinite(far));
}

TEST(StickBreaking, RefusesHeadsThatDoNotDivide) {
  StickBreakingInput<float> in{1, 3, 2, 1, 1, 1, 1, 0, nullptr, {}, {}, {}};
  EXPECT_THROW(stick_breaking_forward(in, HeadView<float>{}), Error);
}

}  // namespace
}  // namespace formwork
