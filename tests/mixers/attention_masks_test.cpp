// Who sees whom, from where, and how much: padding, positions, heads that are cut.
#include "formwork/scores/score.h"
#include "mixers/attention_alone.h"

namespace formwork {
namespace {

TEST(Attention, PaddingIsNeverSeen) {
  const at::NoGradGuard guard;
  for (const auto& c : cases()) {
    if (c.mask == "cross") continue;
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      AttentionAlone mixer(c, dtype);
      auto x = rows(2, 9, dtype);
      if (c.mask == "prefix") mixer.layout.prefix = at::tensor({3}, at::kLong);
      const auto alone = mixer(x[1].narrow(0, 0, 5).unsqueeze(0));
      x[1].narrow(0, 5, 4).fill_(1e4);
      mixer.layout.lengths = at::tensor({9, 5}, at::kLong);
      if (c.mask == "prefix") mixer.layout.prefix = at::tensor({8, 3}, at::kLong);
      EXPECT_LT(distance(mixer(x)[1].narrow(0, 0, 5), alone[0]), dtype == at::kFloat ? 1e-5 : 1e-12)
          << c.name();
    }
  }
}

// Positions that the caller gives move turns and biases, but not who comes before whom.
TEST(Attention, GivenPositionsCountForDistances) {
  const at::NoGradGuard guard;
  for (const char* position : {"rotary", "alibi", "t5"}) {
    AttentionAlone mixer({position, "causal", 2});
    const auto x = rows(1, 6);
    const auto y = mixer(x);
    mixer.layout.positions = at::arange(40, 46, at::kLong).unsqueeze(0);
    EXPECT_LT(distance(mixer(x), y), 1e-5) << position;
    mixer.layout.positions = at::arange(6, at::kLong).unsqueeze(0) * 3;
    EXPECT_GT(distance(mixer(x), y), 1e-3) << position;
    mixer.ctx.mode.twice_differentiable = true;
    const auto plain = mixer(x);
    mixer.ctx.mode.twice_differentiable = false;
    EXPECT_LT(distance(mixer(x), plain), 1e-5) << position;
  }
}

TEST(Attention, RefusesDistancesBetweenTwoStreams) {
  for (const char* position : {"rotary", "alibi", "t5"})
    EXPECT_THROW(AttentionAlone({position, "cross", 4}), Error);
}

// Cutting key-value heads (with their queries) leaves the other heads their slopes, tables and outputs.
TEST(Attention, CutHeadsKeepTheirPositions) {
  const at::NoGradGuard guard;
  for (const char* position : {"alibi", "t5"}) {
    const AttentionCase c{position, "causal", 2};
    AttentionAlone whole(c), cut(c.options(), true, at::kFloat, {{"mixer.kv_heads", 1}});
    // Keep key-value head 1, that is query heads 2 and 3.
    const auto pick = [&](const std::string& name, int64_t dim, const std::vector<int64_t>& kept) {
      cut.param(name).copy_(whole.param(name).index_select(dim, at::tensor(kept, at::kLong)));
    };
    const std::vector<int64_t> inner = {8, 9, 10, 11, 12, 13, 14, 15};
    std::vector<int64_t> qkv = inner;
    for (const int64_t first : {20, 28})
      for (int64_t i = 0; i < 4; ++i) qkv.push_back(first + i);
    pick("mixer.qkv.weight", 0, qkv), pick("mixer.qkv.bias", 0, qkv), pick("mixer.out.weight", 1, inner);
    if (c.position == "alibi") pick("mixer.position.slopes", 0, {2, 3});
    if (c.position == "t5") pick("mixer.position.weight", 1, {2, 3});
    whole.param("mixer.out.weight").narrow(1, 0, 8).zero_();
    const auto x = rows(2, 7);
    EXPECT_LT(distance(cut(x), whole(x)), 1e-5) << position;
  }
}

TEST(Saturated, SharesEquallyAmongTheLargest) {
  Inventory inventory;
  Build build(inventory, "", {}, {});
  const auto score = Registry<Score>::make(build, "saturated");
  Context ctx;
  const auto logits =
      at::tensor({1.0, 3.0, 3.0, 2.0, 5.0, 4.0, 4.0, 4.0, 0.0, 0.0, 0.0, 0.0}).view({1, 1, 3, 4});
  const auto permitted = at::tensor({1, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0}).view({1, 1, 3, 4}).to(at::kBool);
  const auto expected =
      at::tensor({0.0, 0.5, 0.5, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0}).view({1, 1, 3, 4});
  EXPECT_EQ(distance(score->weights(ctx, logits, permitted), expected), 0);
  EXPECT_EQ(distance(score->weights(ctx, logits.narrow(2, 0, 1), {}), expected.narrow(2, 0, 1)), 0);
}

}  // namespace
}  // namespace formwork
