// Attention token by token: appends equal forward, states fork, roll back and forget.
#include "formwork/mixers/attention/kv_cache.h"
#include "mixers/attention_alone.h"

namespace formwork {
namespace {

// Any cutting into appends gives what forward gives, for level rows and for rows of unequal length.
TEST(Attention, AppendsEqualForward) {
  const at::NoGradGuard guard;
  for (const auto& c : cases()) {
    if (c.mask == "both") continue;
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      at::manual_seed(3);
      AttentionAlone mixer(c, dtype);
      give_memory(mixer, at::randn({2, 7, 12}).to(dtype));
      const auto x = rows(2, 13, dtype);
      if (c.mask == "prefix") mixer.layout.prefix = at::tensor({5, 2}, at::kLong);
      const auto full = mixer(x);
      StateOptions options;
      options.batch = 2, options.dtype = dtype;
      const auto state = mixer.part->make_state(options);
      int64_t at = 0;
      for (const int64_t n : {5, 1, 3, 4}) {
        const auto y = mixer.part->append(mixer.ctx, x.narrow(1, at, n), state.get());
        EXPECT_LT(distance(y, full.narrow(1, at, n)), dtype == at::kFloat ? 1e-5 : 1e-12) << c.name();
        at += n;
      }
    }
  }
}

// Gradients go through the cache as well.
TEST(Attention, AnAppendHasTheGradientsOfForward) {
  at::manual_seed(4);
  AttentionAlone mixer({"rotary", "causal", 2});
  const auto x = rows(2, 3), weighting = rows(2, 3);
  StateOptions options;
  options.batch = 2;
  const auto state = mixer.part->make_state(options);
  std::vector<Tensor> gradients;
  for (const bool appended : {false, true}) {
    const auto leaf = x.clone().set_requires_grad(true);
    const auto y = appended ? mixer.part->append(mixer.ctx, leaf, state.get()) : mixer(leaf);
    gradients.push_back(torch::autograd::grad({(y * weighting).sum()}, {leaf})[0]);
  }
  EXPECT_LT(distance(gradients[0], gradients[1]), 1e-4 * gradients[0].abs().max().item<double>());
}

TEST(Attention, RowsOfUnequalLengthAppendEach) {
  const at::NoGradGuard guard;
  for (const auto& c : cases()) {
    if (!c.causal() || c.mask == "prefix") continue;
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      at::manual_seed(4);
      AttentionAlone mixer(c, dtype);
      const double tolerance = dtype == at::kFloat ? 1e-5 : 1e-12;
      const auto x = rows(2, 11, dtype);
      const auto full = mixer(x);
      StateOptions options;
      options.batch = 2, options.dtype = dtype;
      const auto state = mixer.part->make_state(options);
      std::map<int64_t, int64_t> done;
      for (auto counts : std::vector<std::map<int64_t, int64_t>>{
               {{0, 6}, {1, 2}}, {{0, 1}, {1, 3}}, {{0, 0}, {1, 2}}, {{0, 4}, {1, 4}}}) {
        auto piece = at::zeros({2, 6, kWidth}, x.options());
        for (int64_t b = 0; b < 2; ++b)
          piece[b].narrow(0, 0, counts[b]).copy_(x[b].narrow(0, done[b], counts[b]));
        mixer.layout.lengths = at::tensor({counts[0], counts[1]}, at::kLong);
        const auto y = mixer.part->append(mixer.ctx, piece, state.get());
        for (int64_t b = 0; b < 2; ++b) {
          const auto n = counts[b];
          EXPECT_LT(distance(y[b].narrow(0, 0, n), full[b].narrow(0, done[b], n)), tolerance) << c.name();
          done[b] += n;
        }
      }
    }
  }
}

TEST(Attention, SlidingWindowForgets) {
  const at::NoGradGuard guard;
  AttentionAlone mixer({"rotary", "window", 2});
  const auto x = rows(1, 120);
  const auto full = mixer(x);
  StateOptions options;
  options.reversible = 2, options.capacity = 4096;
  const auto state = mixer.part->make_state(options);
  int64_t largest = 0;
  for (int64_t t = 0; t < 120; ++t) {
    auto y = mixer.part->append(mixer.ctx, x.narrow(1, t, 1), state.get());
    EXPECT_LT(distance(y, full.narrow(1, t, 1)), 1e-5);
    if (t % 10 == 9) {  // two steps back and again
      const auto fork = state->fork(at::zeros({1}, at::kLong));
      fork->roll_back(2);
      y = mixer.part->append(mixer.ctx, x.narrow(1, t - 1, 2), fork.get());
      EXPECT_LT(distance(y, full.narrow(1, t - 1, 2)), 1e-5);
    }
    largest = std::max(largest, state->bytes());
  }
  EXPECT_LE(largest, 16 * 2 * 2 * 4 * 4);  // 16 tokens of 2 heads of 4 channels, keys and values, 4 bytes
  EXPECT_THROW(state->roll_back(3), Error);
}

TEST(Attention, ForksAndRollBacksAreIndependent) {
  const at::NoGradGuard guard;
  AttentionAlone mixer({"alibi", "causal", 1});
  const auto x = rows(2, 8);
  StateOptions options;
  options.batch = 2;
  const auto state = mixer.part->make_state(options);
  mixer.part->append(mixer.ctx, x.narrow(1, 0, 5), state.get());
  const auto swapped = state->fork(at::tensor({1, 0, 1}, at::kLong));
  mixer.part->append(mixer.ctx, at::randn({2, 3, kWidth}), state.get());
  state->roll_back(1);
  const auto y = mixer.part->append(mixer.ctx, x.narrow(1, 5, 3), state.get());
  const auto full = mixer(x);
  EXPECT_LT(distance(y, full.narrow(1, 5, 3)), 1e-5);
  const auto order = at::tensor({1, 0, 1}, at::kLong);
  const auto z = mixer.part->append(mixer.ctx, x.narrow(1, 5, 3).index_select(0, order), swapped.get());
  EXPECT_LT(distance(z, y.index_select(0, order)), 1e-5);
}

}  // namespace
}  // namespace formwork
