// What a session promises: a sequence does not depend on its neighbours or on how it is cut.
#include "formwork/kernels/cpu/float_product.h"
#include "runtime/fixtures.h"

namespace formwork {
namespace {

using runtime::Append;
using runtime::Session;

const char* const kMixers[] = {
    R"({"type": "attention", "heads": 4, "kv_heads": 2, "position": "rotary"})",
    R"({"type": "attention", "heads": 4, "kv_heads": 1, "window": 9, "qk_norm": "rms_norm", "position": "alibi"})",
    R"({"type": "average_past"})",
    R"({"type": "mamba", "d_state": 5})",
    R"({"type": "mamba2", "d_state": 5, "head_width": 4, "groups": 2})",
    R"({"type": "attention", "heads": 4, "score": "saturated", "position": "rotary"})",
    R"({"type": "attention", "heads": 4, "kv_heads": 2, "window": 70, "score": "stick_breaking"})",
    R"({"type": "stick_breaking", "heads": 4})",
    R"({"type": "stick_breaking", "heads": 2, "modules": 4, "active": 2, "gate": "gmm", "router_hidden": 6})"};

std::vector<float> last_of(const std::vector<float>& all, int64_t outputs) {
  return {all.end() - outputs, all.end()};
}

TEST(Session, ASequenceIsTheSameAloneAndAmongOthersAtEveryBatch) {
  for (const char* mixer : kMixers) {
    const InRuntime model(noisy_float(small_spec(mixer)));
    const int64_t outputs = model.model().outputs();
    auto alone = model.session();
    const auto expected = last_of(all_logits(alone, 0, some_ids(21)), outputs);
    for (int64_t batch = 2; batch <= 16; ++batch) {
      // Prompts of unequal length, passes that cut them, the sequence in another place each time.
      auto session = model.session(batch, 33);
      const int64_t place = (batch / 2 + 1) % batch;
      std::vector<std::vector<int64_t>> ids;
      std::vector<Append> appends;
      for (int64_t row = 0; row < batch; ++row) ids.push_back(some_ids(row == place ? 21 : 3 + row * 4, row));
      ids[static_cast<size_t>(place)] = some_ids(21);
      for (int64_t row = 0; row < batch; ++row) appends.push_back({row, ids[static_cast<size_t>(row)]});
      const float* logits = session.append(appends) + place * outputs;
      EXPECT_EQ(std::vector<float>(logits, logits + outputs), expected) << mixer << " batch " << batch;
    }
  }
}

std::vector<float> logits_in_pieces(const InRuntime& model, const std::vector<int64_t>& ids, int64_t step) {
  auto session = model.session(1, 50);
  std::vector<float> found;
  const auto end = static_cast<int64_t>(ids.size());
  for (int64_t at = 0; at < end; at += step) {
    const std::vector<int64_t> piece(ids.begin() + at, ids.begin() + std::min(end, at + step));
    const auto logits = all_logits(session, 0, piece);
    found.insert(found.end(), logits.begin(), logits.end());
  }
  return found;
}

TEST(Session, ASequenceIsTheSameHoweverItIsCut) {
  for (const char* mixer : kMixers) {
    const InRuntime model(noisy_float(small_spec(mixer)));
    const auto ids = some_ids(200);
    const auto expected = logits_in_pieces(model, ids, 1);
    for (const int64_t step : {3, 31})
      EXPECT_EQ(logits_in_pieces(model, ids, step), expected) << mixer << " in pieces of " << step;
    for (const int64_t step : {64, 129, 200}) {
      const auto found = logits_in_pieces(model, ids, step);
      if (!has_float_product()) EXPECT_EQ(found, expected) << mixer << " in pieces of " << step;
      for (size_t i = 0; i < found.size(); ++i)
        EXPECT_NEAR(found[i], expected[i], 1e-4) << mixer << " in pieces of " << step;
    }
  }
}

TEST(Session, ManyTokensAreTheSameAloneAndAmongOthers) {
  for (const char* mixer : kMixers) {
    const InRuntime model(noisy_float(small_spec(mixer)));
    const int64_t outputs = model.model().outputs();
    auto alone = model.session();
    const auto ids = some_ids(181);  // a whole pass of 128 tokens, and 53
    const Append append{0, ids};
    const float* logits = alone.append({&append, 1});
    const std::vector<float> expected(logits, logits + outputs);
    for (const int64_t place : {0, 2, 4}) {
      auto session = model.session(5);
      std::vector<std::vector<int64_t>> others;
      std::vector<Append> appends;
      for (const int64_t count : {40, 7, 300, 33, 1}) others.push_back(some_ids(count, count));
      others[static_cast<size_t>(place)] = ids;
      for (int64_t row = 0; row < 5; ++row) appends.push_back({row, others[static_cast<size_t>(row)]});
      const float* found = session.append(appends) + place * outputs;
      EXPECT_EQ(std::vector<float>(found, found + outputs), expected) << mixer << " in place " << place;
    }
  }
}

TEST(Session, LongSequencesAgreeWithThePlainPath) {
  for (const char* mixer : kMixers) {
    const auto plain = noisy_float(small_spec(mixer));
    const InRuntime model(plain);
    const auto ids = some_ids(200);
    const auto expected = plain_logits(*plain, ids);
    auto session = model.session();
    const auto found = at::tensor(all_logits(session, 0, ids)).view_as(expected);
    EXPECT_LT((found - expected).abs().max().item<double>(), 1e-4) << mixer;
  }
}

TEST(Session, GoesOnAfterForgettingAndAfterCopies) {
  for (const char* mixer : kMixers) {
    const InRuntime model(noisy_float(small_spec(mixer)));
    const auto first = some_ids(70), wrong = some_ids(5, 1), right = some_ids(6, 2);
    auto straight = model.session();
    all_logits(straight, 0, first);
    const auto expected = all_logits(straight, 0, right);

    auto session = model.session(2, 128, CacheType::float32, /*reversible=*/8);
    all_logits(session, 1, some_ids(9, 3));
    all_logits(session, 0, first);
    all_logits(session, 0, wrong);
    session.truncate(0, 70);
    EXPECT_EQ(session.length(0), 70);
    session.select({1, 0, 0});
    EXPECT_EQ(session.length(0), 9);
    EXPECT_EQ(all_logits(session, 1, right), expected) << mixer;
    EXPECT_EQ(all_logits(session, 2, right), expected) << mixer;
  }
}

TEST(Session, KeepsAWindowInBoundedMemory) {
  const InRuntime model(noisy_float(small_spec(kMixers[1])));
  auto session = model.session();
  all_logits(session, 0, some_ids(300));
  const int64_t bytes = session.bytes();
  all_logits(session, 0, some_ids(2000));
  EXPECT_EQ(session.bytes(), bytes);
  EXPECT_NE(error_of([&] { session.truncate(0, 1000); }).find("too far back"), std::string::npos);
}

// Rounded caches change logits a little, by about their precision.
TEST(Session, NarrowCachesAreNear) {
  const InRuntime model(noisy_float(small_spec(kMixers[0]), 0.1));
  auto exact = model.session();
  const auto expected = all_logits(exact, 0, some_ids(100));
  float most = 0;
  for (const float x : expected) most = std::max(most, std::abs(x));
  for (const auto& [cache, tolerance] : {std::pair{CacheType::bfloat16, 0.02}, {CacheType::int8, 0.03}}) {
    auto session = model.session(1, 128, cache);
    const auto found = all_logits(session, 0, some_ids(100));
    double worst = 0;
    for (size_t i = 0; i < found.size(); ++i)
      worst = std::max(worst, static_cast<double>(std::abs(found[i] - expected[i])));
    EXPECT_GT(worst, 0);
    EXPECT_LT(worst, tolerance * most);
    EXPECT_LT(session.bytes(), exact.bytes());
  }
}

TEST(Session, RefusesWhatItCannotTake) {
  const InRuntime model(noisy_float(small_spec()));
  auto session = model.session();
  const std::vector<int64_t> none, wrong = {3, 29};
  const auto message = [&](const std::vector<int64_t>& ids, int64_t row) {
    const Append append{row, ids};
    return error_of([&] { session.append({&append, 1}); });
  };
  EXPECT_EQ(message(none, 0), "append: expected at least one token");
  EXPECT_EQ(message(wrong, 0), "append: token id 29 is outside the vocabulary of 29");
  EXPECT_EQ(message({3}, 1), "append: sequence 1 of 1");
  EXPECT_EQ(session.length(0), 0);
  EXPECT_EQ(error_of([&] { session.truncate(0, 1); }), "truncate: expected 0 to 0 tokens, found 1");
}

}  // namespace
}  // namespace formwork
