#include "formwork/data/text_corpus.h"

#include <gtest/gtest.h>

#include <numeric>

#include "formwork/core/error.h"
#include "formwork/data/masked_lm.h"
#include "formwork/text/byte_tokenizer.h"

namespace formwork {
namespace {

std::vector<int64_t> counting(int64_t count) {
  std::vector<int64_t> stream(count);
  std::iota(stream.begin(), stream.end(), int64_t{0});
  return stream;
}

TokenBatch plain_batch(int64_t rows, int64_t length, int64_t vocabulary) {
  const at::Tensor tokens = at::arange(rows * length, at::kLong).remainder(vocabulary).view({rows, length});
  return {tokens, tokens, at::full({rows}, length, at::kLong)};
}

}  // namespace

TEST(TextCorpus, SplitsAtNineTenthsButNeverInsideACharacter) {
  const TextCorpus corpus("0123456789", *byte_tokenizer());
  EXPECT_EQ(corpus.train().size(), 9u);
  EXPECT_EQ(corpus.validation(), std::vector<int64_t>{'9'});
  const TextCorpus accented("abcdefgh\xC3\xA9", *byte_tokenizer());
  EXPECT_EQ(accented.train().size(), 8u);
  EXPECT_EQ(accented.validation().size(), 2u);
  EXPECT_THROW(TextCorpus("", *byte_tokenizer()), Error);
  EXPECT_THROW(TextCorpus("abc", *byte_tokenizer(), 1.5), Error);
  EXPECT_THROW(load_text_corpus("/nonexistent", *byte_tokenizer()), Error);
}

TEST(RandomWindows, DependOnSeedAndStepAlone) {
  const auto stream = counting(1000);
  const TokenBatch batch = random_windows(stream, 4, 16, 7, 3);
  EXPECT_TRUE(at::equal(batch.targets, batch.tokens + 1));
  EXPECT_TRUE(at::equal(batch.tokens, random_windows(stream, 4, 16, 7, 3).tokens));
  EXPECT_FALSE(at::equal(batch.tokens, random_windows(stream, 4, 16, 7, 4).tokens));
  EXPECT_FALSE(at::equal(batch.tokens, random_windows(stream, 4, 16, 8, 3).tokens));
  EXPECT_TRUE((batch.lengths == 16).all().item<bool>());
}

TEST(RandomWindows, ReachEveryPlaceAndNoneBeyond) {
  const auto stream = counting(6);
  std::vector<int> seen(6);
  for (int64_t step = 0; step < 100; ++step)
    ++seen[random_windows(stream, 1, 4, 1, step).tokens[0][0].item<int64_t>()];
  EXPECT_GT(seen[0], 0);
  EXPECT_GT(seen[1], 0);
  EXPECT_EQ(seen[0] + seen[1], 100);
  EXPECT_THROW(random_windows(stream, 1, 6, 1, 0), Error);
}

TEST(EvaluationWindows, PredictEveryTokenOnce) {
  for (int64_t count : {2, 5, 16, 17, 18, 33, 100}) {
    const auto stream = counting(count);
    const EvaluationWindows windows(stream, 3, 4);
    std::vector<int> seen(count);
    for (int64_t i = 0; i < windows.batches(); ++i) {
      const TokenBatch batch = windows[i];
      for (int64_t row = 0; row < batch.tokens.size(0); ++row) {
        const int64_t length = batch.lengths[row].item<int64_t>();
        for (int64_t t = 0; t < 4; ++t) {
          const int64_t target = batch.targets[row][t].item<int64_t>();
          EXPECT_EQ(target == ignored_target, t >= length);
          if (t >= length) continue;
          EXPECT_EQ(batch.tokens[row][t].item<int64_t>() + 1, target);
          ++seen[target];
        }
      }
    }
    EXPECT_EQ(seen[0], 0);
    for (int64_t token = 1; token < count; ++token) EXPECT_EQ(seen[token], 1) << count << " " << token;
  }
}

TEST(MaskedLm, HidesEightyTenTen) {
  const TokenBatch batch = plain_batch(64, 512, 100);
  const TokenBatch masked = mask_tokens(batch, {.mask_id = 100, .vocab_size = 1101}, 5, 2);
  const at::Tensor chosen = masked.targets != ignored_target;
  const double count = chosen.sum().item<double>();
  EXPECT_NEAR(count / batch.tokens.numel(), 0.15, 0.01);
  EXPECT_TRUE(at::equal(masked.targets.masked_select(chosen), batch.tokens.masked_select(chosen)));
  EXPECT_TRUE(at::equal(masked.tokens.masked_select(~chosen), batch.tokens.masked_select(~chosen)));
  const at::Tensor hidden = masked.tokens == 100, kept = masked.tokens == batch.tokens;
  EXPECT_NEAR((hidden & chosen).sum().item<double>() / count, 0.8, 0.03);
  EXPECT_NEAR((kept & chosen).sum().item<double>() / count, 0.1, 0.02);
  EXPECT_TRUE(
      at::equal(masked.tokens, mask_tokens(batch, {.mask_id = 100, .vocab_size = 1101}, 5, 2).tokens));
  EXPECT_FALSE(
      at::equal(masked.tokens, mask_tokens(batch, {.mask_id = 100, .vocab_size = 1101}, 5, 3).tokens));
}

TEST(MaskedLm, LeavesPaddingAndProtectedTokensAlone) {
  TokenBatch batch = plain_batch(2, 10, 10);
  batch.lengths[1] = 3;
  MaskedLmOptions options{.mask_id = 10, .vocab_size = 11, .probability = 1.0};
  options.protected_ids = {0};
  const at::Tensor targets = mask_tokens(batch, options, 1, 1).targets;
  EXPECT_EQ((targets != ignored_target).sum().item<int64_t>(), 9 + 2);
  options.probability = 1e-12;
  EXPECT_EQ((mask_tokens(batch, options, 1, 1).targets != ignored_target).sum().item<int64_t>(), 1);
  options.mask_id = 11;
  EXPECT_THROW(mask_tokens(batch, options, 1, 1), Error);
}

}  // namespace formwork
