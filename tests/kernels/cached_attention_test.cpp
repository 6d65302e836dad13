#include "formwork/kernels/cpu/cached_attention.h"

#include "compare.h"
#include "kernels/every_target.h"

namespace formwork {
namespace {

struct Case {
  int64_t tokens, queries, group, width, value_width, window;
  bool slopes, bias;
  ScoreRule rule = ScoreRule::softmax;
};

// Blocks that hold k and v [T, H, d].
class Blocks {
 public:
  Blocks(const CacheLayout& layout, const Tensor& k, const Tensor& v) {
    for (int64_t t = 0; t < k.size(0); ++t) {
      // Unwritten places hold NaN: a query must not read them.
      if (t % kCacheBlock == 0) memory_.emplace_back(static_cast<size_t>(layout.bytes()), std::byte{0xff});
      for (int64_t h = 0; h < layout.heads; ++h)
        cache_token(layout, memory_.back().data(), h, t % kCacheBlock,
                    raw<float>(k) + (t * layout.heads + h) * layout.width,
                    raw<float>(v) + (t * layout.heads + h) * layout.value_width);
    }
    for (const auto& block : memory_) pointers_.push_back(block.data());
  }
  const std::byte* const* data() const { return pointers_.data(); }

 private:
  std::vector<std::vector<std::byte>> memory_;
  std::vector<const std::byte*> pointers_;
};

// Weights of logits [.., T], of which -inf are hidden.
Tensor weights_of(const Tensor& logits, ScoreRule rule) {
  if (rule == ScoreRule::softmax) return logits.softmax(-1);
  if (rule == ScoreRule::saturated) {
    const auto best = logits.eq(logits.amax(-1, true)).to(at::kDouble);
    return best / best.sum(-1, true);
  }
  // The stick that is left when key j breaks it: the product of 1 - sigmoid over later keys.
  const auto taken = logits.sigmoid();
  const auto left = (1 - taken).flip({-1}).cumprod(-1).flip({-1});
  return taken * at::constant_pad_nd(left.narrow(-1, 1, left.size(-1) - 1), {0, 1}, 1);
}

// By the formula, in double: [queries, group, value width] of one head.
Tensor formula(const Case& c, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& slopes,
               const Tensor& bias) {
  const auto places = at::arange(c.tokens - c.queries, c.tokens, at::kLong).view({-1, 1, 1}),
             keys = at::arange(c.tokens, at::kLong).view({1, 1, -1});
  auto logits = q.to(at::kDouble).matmul(k.to(at::kDouble).t()) * 0.3;  // [Q, G, T]
  const auto distance = places - keys;
  if (c.slopes) logits = logits - slopes.view({1, -1, 1}) * distance;
  if (c.bias) {
    const auto index = distance.clamp(0, bias.size(1) - 1).expand({c.queries, c.group, c.tokens});
    logits = logits + bias.to(at::kDouble).unsqueeze(0).expand({c.queries, -1, -1}).gather(2, index);
  }
  auto hidden = distance < 0;
  if (c.window) hidden = hidden.logical_or(distance >= c.window);
  return weights_of(logits.masked_fill(hidden, -INFINITY), c.rule).matmul(v.to(at::kDouble));
}

void check(const Case& c, CacheType type, double factor) {
  constexpr int64_t kHeads = 2;
  const auto k = at::randn({c.tokens, kHeads, c.width}), v = at::randn({c.tokens, kHeads, c.value_width});
  const auto q = at::randn({c.queries, kHeads, c.group, c.width});
  const auto slopes = at::rand({c.group}), bias = at::randn({c.group, 7});
  const CacheLayout layout{type, kHeads, c.width, c.value_width};
  const Blocks blocks(layout, k, v);
  const auto o = at::empty({c.queries, c.group, c.value_width});
  CachedAttention call{layout, blocks.data(), 1, c.tokens - c.queries, c.queries, c.group, 0.3f};
  call.window = c.window, call.rule = c.rule;
  if (c.slopes) call.slopes = raw<float>(slopes);
  if (c.bias) call.bias = raw<float>(bias), call.reach = 7;
  call.q = raw<float>(q) + c.group * c.width, call.q_stride = kHeads * c.group * c.width;
  call.o = raw<float>(o), call.o_stride = c.group * c.value_width;
  cached_attention(call, 0, c.queries * c.group);
  expect_near<float>(o, formula(c, q.select(1, 1), k.select(1, 1), v.select(1, 1), slopes, bias), "o",
                     factor);

  // Asked one by one, each query gives the same bits.
  const auto alone = at::empty_like(o);
  call.o = raw<float>(alone);
  for (int64_t r = 0; r < c.queries * c.group; ++r) cached_attention(call, r, r + 1);
  EXPECT_TRUE(alone.equal(o));
}

const Case kCases[] = {{1, 1, 1, 4, 4, 0, false, false},
                       {70, 1, 3, 20, 9, 0, true, false},
                       {130, 130, 1, 16, 64, 0, false, true},
                       {200, 37, 2, 64, 80, 65, false, false},
                       {64, 9, 4, 33, 17, 3, true, true},
                       {1, 1, 1, 4, 4, 0, false, false, ScoreRule::stick_breaking},
                       {150, 150, 2, 20, 9, 0, false, false, ScoreRule::stick_breaking},
                       {200, 37, 3, 8, 80, 65, true, true, ScoreRule::stick_breaking}};
// Rounding decides which key is the largest, so only exact caches have a formula.
const Case kSaturated[] = {{1, 1, 1, 4, 4, 0, false, false, ScoreRule::saturated},
                           {150, 150, 2, 20, 9, 0, false, false, ScoreRule::saturated},
                           {200, 37, 3, 8, 80, 65, true, true, ScoreRule::saturated}};

TEST(CachedAttention, FollowsTheFormula) {
  at::manual_seed(1);
  for_every_target([] {
    for (const auto& c : kCases) check(c, CacheType::float32, 2);
    for (const auto& c : kSaturated) check(c, CacheType::float32, 2);
  });
}

// Equal keys in several blocks share the weight.
TEST(CachedAttention, SaturatedWeightsAreSharedByEqualKeys) {
  const CacheLayout layout{CacheType::float32, 1, 1, 1};
  auto k = at::zeros({150, 1, 1}), v = at::arange(150, at::kFloat).view({150, 1, 1});
  for (const int64_t j : {3, 70, 140}) k[j] = 2;
  k[149] = 3;
  const Blocks blocks(layout, k, v);
  const auto q = at::ones({2, 1}), o = at::empty({2, 1});
  CachedAttention call{layout, blocks.data(), 0, 148, 2, 1, 1.0f};
  call.rule = ScoreRule::saturated;
  call.q = raw<float>(q), call.q_stride = 1, call.o = raw<float>(o), call.o_stride = 1;
  cached_attention(call, 0, 2);
  EXPECT_NEAR(o[0].item<float>(), 71, 1e-4);
  EXPECT_EQ(o[1].item<float>(), 149);
}

// bfloat16 keeps 8 bits, int8 codes 7 of each row.
TEST(CachedAttention, NarrowCachesRound) {
  at::manual_seed(2);
  for_every_target([] {
    for (const auto& c : kCases) {
      check(c, CacheType::bfloat16, 1e4);
      check(c, CacheType::int8, 2e4);
    }
  });
}

}  // namespace
}  // namespace formwork
