#include "formwork/kernels/cpu/attention.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "compare.h"
#include "kernels/every_target.h"

namespace formwork {
namespace {

struct Case {
  const char* name;
  AttentionShape shape;
  bool causal = false;
  std::int64_t offset = 0, window = 0;
  std::vector<std::int64_t> lengths = {}, prefixes = {};
  std::vector<std::int64_t> bias = {};  // sizes of a bias that broadcasts
  bool slopes = false;
};

const std::vector<Case> kCases = {
    {"plain", {2, 2, 2, 5, 7, 4, 4}},
    {"one of everything", {1, 1, 1, 1, 1, 1, 1}},
    {"causal, several tiles", {1, 2, 2, 150, 150, 16, 16}, true},
    {"grouped queries, odd widths", {2, 6, 2, 33, 61, 9, 21}},
    {"decoding", {2, 4, 1, 3, 301, 16, 32}, true, 298},
    {"decoding one token of wide heads", {2, 4, 2, 1, 150, 80, 68}, true, 149},
    {"decoding in a window", {1, 2, 2, 2, 300, 9, 21}, true, 298, 20},
    {"decoding after a prefix, rows of unequal length",
     {2, 2, 1, 4, 290, 8, 8},
     true,
     286,
     16,
     {290, 150},
     {3, 0}},
    {"decoding with slopes and a bias", {2, 2, 2, 2, 40, 8, 8}, true, 38, 0, {}, {}, {1, 2, 2, 40}, true},
    {"queries before the first key", {1, 1, 1, 9, 6, 8, 8}, true, -4},
    {"causal window", {1, 2, 1, 200, 200, 8, 8}, true, 0, 20},
    {"two-sided window", {1, 1, 1, 70, 90, 16, 16}, false, 10, 7},
    {"window behind every key", {1, 1, 1, 4, 5, 8, 8}, true, 40, 3},
    {"lengths", {3, 2, 2, 20, 40, 16, 8}, false, 0, 0, {40, 0, 17}},
    {"causal lengths", {3, 2, 2, 50, 50, 16, 16}, true, 0, 0, {50, 1, 33}},
    {"prefix", {3, 2, 2, 64, 64, 16, 16}, true, 0, 0, {}, {0, 30, 64}},
    {"prefix, window and the gap between", {2, 2, 1, 400, 400, 8, 8}, true, 0, 16, {400, 250}, {3, 140}},
    {"bias for everything", {2, 2, 2, 20, 35, 8, 8}, false, 0, 0, {}, {}, {2, 2, 20, 35}},
    {"bias shared by rows", {3, 4, 2, 20, 35, 8, 8}, true, 15, 0, {}, {}, {1, 4, 20, 35}},
    {"bias shared by heads", {2, 4, 2, 9, 12, 8, 8}, false, 0, 0, {}, {}, {2, 1, 9, 12}},
    {"bias of keys", {2, 2, 2, 9, 140, 8, 8}, false, 0, 0, {}, {}, {1, 1, 1, 140}},
    {"slopes", {1, 4, 4, 60, 60, 16, 16}, true, 0, 0, {}, {}, {}, true},
    {"two-sided slopes", {1, 2, 1, 30, 50, 16, 16}, false, 7, 0, {}, {}, {}, true},
};

// [batch, 1, queries, keys], true where the key is permitted; written from the definition, pair by pair.
at::Tensor permitted(const Case& c) {
  const auto& s = c.shape;
  auto mask = at::zeros({s.batch, 1, s.queries, s.keys}, at::kBool);
  auto access = mask.accessor<bool, 4>();
  for (std::int64_t b = 0; b < s.batch; ++b)
    for (std::int64_t i = 0; i < s.queries; ++i)
      for (std::int64_t j = 0; j < s.keys; ++j) {
        const std::int64_t p = i + c.offset;
        const bool near = (!c.causal || j <= p) && (!c.window || std::abs(p - j) < c.window);
        access[b][0][i][j] =
            (c.lengths.empty() || j < c.lengths[b]) && (near || (!c.prefixes.empty() && j < c.prefixes[b]));
      }
  return mask;
}

template <class T>
struct Tensors {
  at::Tensor q, k, v, bias, slopes, d_o;  // double, [B, T, H, D]
  explicit Tensors(const Case& c) {
    const auto& s = c.shape;
    q = random_values<T>({s.batch, s.queries, s.query_heads, s.width}).requires_grad_();
    k = random_values<T>({s.batch, s.keys, s.key_heads, s.width}).requires_grad_();
    v = random_values<T>({s.batch, s.keys, s.key_heads, s.value_width}).requires_grad_();
    d_o = random_values<T>({s.batch, s.queries, s.query_heads, s.value_width});
    if (!c.bias.empty()) bias = random_values<T>(c.bias).requires_grad_();
    if (c.slopes) slopes = random_values<T>({s.query_heads}).abs() * 0.25;
  }
};

// Row by row from the definition; o [B, T, H, D] and logsumexp [B, H, T].
template <class T>
std::pair<at::Tensor, at::Tensor> oracle(const Case& c, const Tensors<T>& t, double scale) {
  const std::int64_t group = c.shape.query_heads / c.shape.key_heads;
  const auto heads = [&](const at::Tensor& x) { return at::repeat_interleave(x, group, 2).transpose(1, 2); };
  auto scores = at::matmul(t.q.transpose(1, 2), heads(t.k).transpose(-1, -2)) * scale;
  if (t.bias.defined()) scores = scores + t.bias;
  if (t.slopes.defined()) {
    const auto p = at::arange(c.shape.queries, at::kDouble).unsqueeze(1) + static_cast<double>(c.offset);
    const auto distance = (p - at::arange(c.shape.keys, at::kDouble)).abs();
    scores = scores - t.slopes.view({-1, 1, 1}) * distance;
  }
  const auto mask = permitted(c);
  scores = at::where(mask, scores, -INFINITY);
  const auto seen = mask.any(-1, true);
  const auto weights = at::where(mask, at::softmax(at::where(seen, scores, 0), -1), 0);
  return {at::matmul(weights, heads(t.v)).transpose(1, 2), at::logsumexp(scores, -1).detach()};
}

template <class T>
HeadView<T> view(const at::Tensor& x) {
  return {raw<std::remove_const_t<T>>(x), x.stride(0), x.stride(2), x.stride(1)};
}

template <class T>
AttentionBias<T> bias_view(const at::Tensor& x) {
  if (!x.defined()) return {};
  const auto stride = [&](int i) { return x.size(i) == 1 ? 0 : x.stride(i); };
  return {raw<std::remove_const_t<T>>(x), stride(0), stride(1), stride(2), stride(3)};
}

// The same numbers inside a wider tensor, so that no stride is that of a dense one.
template <class T>
at::Tensor strided_copy(const at::Tensor& x) {
  auto wide = at::full({x.size(0), x.size(1), 3, x.size(2), x.size(3)}, NAN, scalar_type<T>());
  auto part = wide.select(2, 1);
  part.copy_(x.detach());
  return part;
}

template <class T>
void check(const Case& c) {
  const Tensors<T> t(c);
  const double scale = 0.375;
  const auto [expected, logsumexp] = oracle(c, t, scale);
  expected.backward(t.d_o);

  const auto q = strided_copy<T>(t.q), k = strided_copy<T>(t.k), v = strided_copy<T>(t.v);
  const auto d_o = strided_copy<T>(t.d_o), o = at::full_like(d_o, NAN);
  const auto dq = at::full_like(q, NAN), dk = at::full_like(k, NAN), dv = at::full_like(v, NAN);
  const auto sums = at::full({c.shape.batch, c.shape.query_heads, c.shape.queries}, NAN, q.options());
  const auto bias = t.bias.defined() ? copy_as<T>(t.bias) : at::Tensor();
  const auto dbias = t.bias.defined() ? at::zeros_like(bias) : at::Tensor();
  const auto slopes = t.slopes.defined() ? copy_as<T>(t.slopes) : at::Tensor();
  const AttentionMask mask{c.causal, c.offset, c.window, c.lengths.empty() ? nullptr : c.lengths.data(),
                           c.prefixes.empty() ? nullptr : c.prefixes.data()};
  const Attention<T> attention{c.shape, mask, static_cast<T>(scale), bias_view<const T>(bias),
                               c.slopes ? raw<T>(slopes) : nullptr};
  attention_forward<T>(attention, view<const T>(q), view<const T>(k), view<const T>(v), view<T>(o),
                       raw<T>(sums));
  expect_near<T>(o, expected, "o", 2);
  const auto finite = logsumexp.isfinite();
  EXPECT_TRUE(finite.equal(sums.isfinite()));
  expect_near<T>(at::where(finite, sums, 0), at::where(finite, logsumexp, 0), "logsumexp");

  const AttentionSaved<T> saved{view<const T>(q), view<const T>(k), view<const T>(v), view<const T>(o),
                                raw<T>(sums)};
  attention_backward<T>(attention, saved, view<const T>(d_o),
                        {view<T>(dq), view<T>(dk), view<T>(dv), bias_view<T>(dbias)});
  expect_near<T>(dq, t.q.grad(), "dq", 4);
  expect_near<T>(dk, t.k.grad(), "dk", 4);
  expect_near<T>(dv, t.v.grad(), "dv", 4);
  if (bias.defined()) expect_near<T>(dbias, t.bias.grad(), "dbias", 4);
  attention_backward<T>(attention, saved, view<const T>(d_o), {view<T>(q), view<T>(k), view<T>(v), {}});
  EXPECT_TRUE(q.equal(dq) && k.equal(dk) && v.equal(dv)) << "in place";
}

}  // namespace

template <class T>
class AttentionTest : public ::testing::Test {};
TYPED_TEST_SUITE(AttentionTest, BothTypes);

TYPED_TEST(AttentionTest, AgreesWithTheDefinitionAndItsAutograd) {
  for_every_target([] {
    for (const auto& c : kCases) {
      SCOPED_TRACE(c.name);
      check<TypeParam>(c);
    }
  });
}

TYPED_TEST(AttentionTest, AgreesOnTwoThreads) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  check<TypeParam>({"heads apart", {3, 4, 2, 20, 35, 8, 8}, true, 15, 0, {}, {}, {1, 4, 20, 35}});
  check<TypeParam>({"one head cut by queries", {1, 1, 1, 500, 500, 8, 8}, true, 0, 90});
  at::set_num_threads(before);
}

// Large scores neither overflow nor lose the sharp maximum; a bias of -infinity forbids a key.
TEST(Attention, SurvivesLargeScoresAndInfiniteBias) {
  const std::vector<float> q = {100}, k = {-90, 90, 95}, v = {1, 2, 3}, bias = {0, 0, -INFINITY};
  float o = 0, sum = 0;
  const Attention<float> attention{{1, 1, 1, 1, 3, 1, 1}, {}, 1, {bias.data(), 0, 0, 0, 1}};
  attention_forward<float>(attention, {q.data(), 1, 1, 1}, {k.data(), 3, 1, 1}, {v.data(), 3, 1, 1},
                           {&o, 1, 1, 1}, &sum);
  EXPECT_EQ(o, 2);
  EXPECT_EQ(sum, 9000);
}

}  // namespace formwork
