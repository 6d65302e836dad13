// Any cutting of a row into appends gives what forward gives, also after forks and roll-backs.
#include <random>

#include "conformance/suite.h"

namespace formwork::conformance {
namespace {

// A state that takes rows of one record, each append checked against the whole pass.
class Walk {
 public:
  Walk(const Subject& subject, Model& model, Record in)
      : subject_(subject), model_(model), in_(std::move(in)), whole_(run(model, in_)) {
    auto others = in_;
    others.erase(subject.field);
    StateOptions options;
    options.batch = whole_.size(0), options.reversible = 16, options.dtype = at::kDouble;
    auto ctx = model.make_context();
    state_ = model.make_state(ctx, others, options);
    for (int64_t b = 0; b < options.batch; ++b) rows_.push_back(b);
  }
  Walk fork(const std::vector<int64_t>& rows) const {
    Walk other(*this, state_.fork(at::tensor(rows, at::kLong)));
    for (auto& row : other.rows_ = rows) row = rows_[static_cast<size_t>(row)];
    return other;
  }
  void take(int64_t n) {
    const auto piece = take_rows(in_, rows_).at(subject_.field).narrow(1, at_, n);
    const auto expected = whole_.index_select(0, at::tensor(rows_, at::kLong)).narrow(1, at_, n);
    EXPECT_LT(gap(append({{subject_.field, piece}}), expected), 1e-9) << n << " tokens from " << at_;
    starts_.push_back(at_);
    at_ += n;
  }
  // Row b takes `counts[b]` tokens, the rest of the piece is padding.
  void take_uneven(const std::vector<int64_t>& counts) {
    const int64_t most = *std::max_element(counts.begin(), counts.end());
    auto mask = at::zeros({static_cast<int64_t>(counts.size()), most}, at::kLong);
    for (size_t b = 0; b < counts.size(); ++b) mask[static_cast<int64_t>(b)].narrow(0, 0, counts[b]).fill_(1);
    append({{subject_.field, in_.at(subject_.field).narrow(1, 0, most)},
            {subject_.with("attention_mask"), mask}});
    std::vector<Tensor> pieces, expected;
    for (size_t b = 0; b < counts.size(); ++b) {
      pieces.push_back(in_.at(subject_.field)[static_cast<int64_t>(b)].narrow(0, counts[b], 2));
      expected.push_back(whole_[static_cast<int64_t>(b)].narrow(0, counts[b], 2));
    }
    EXPECT_LT(gap(append({{subject_.field, at::stack(pieces)}}), at::stack(expected)), 1e-9) << "uneven rows";
  }
  void roll_back(int64_t appends) {
    state_.roll_back(appends);
    at_ = starts_[starts_.size() - static_cast<size_t>(appends)];
    starts_.resize(starts_.size() - static_cast<size_t>(appends));
  }
  int64_t left() const { return whole_.size(1) - at_; }
  size_t appends() const { return starts_.size(); }

 private:
  Walk(const Walk& other, ModelState state)
      : subject_(other.subject_),
        model_(other.model_),
        in_(other.in_),
        whole_(other.whole_),
        state_(std::move(state)),
        at_(other.at_),
        starts_(other.starts_) {}
  Tensor append(const Record& piece) {
    auto ctx = model_.make_context();
    return only(model_, model_.append(ctx, piece, state_));
  }

  const Subject& subject_;
  Model& model_;
  Record in_;
  Tensor whole_;
  ModelState state_;
  std::vector<int64_t> rows_;
  int64_t at_ = 0;
  std::vector<int64_t> starts_;
};

class Appends : public Suite {
 protected:
  bool build_decoded() { return build("appends") && when(traits().causal, "not causal"); }
};

TEST_P(Appends, OfAnyCuttingEqualForward) {
  if (!build_decoded()) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  const auto in = inputs(subject(), 2, 9);
  for (unsigned seed = 0; seed < 4; ++seed) {
    std::mt19937 random(seed);
    Walk walk(subject(), model(), in);
    while (walk.left() > 0)
      walk.take(1 +
                static_cast<int64_t>(random() % static_cast<unsigned>(std::min<int64_t>(4, walk.left()))));
  }
}

TEST_P(Appends, GoOnAfterForkAndRollBack) {
  if (!build_decoded()) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  const auto in = inputs(subject(), 2, 9);
  Walk walk(subject(), model(), in);
  walk.take(3), walk.take(1), walk.take(2);
  auto forked = walk.fork({1, 0, 1});
  walk.roll_back(2);
  walk.take(4);
  forked.take(1);
  auto again = forked.fork({2, 0});
  again.roll_back(3);
  again.take(2);
  for (unsigned seed = 0; seed < 3; ++seed) {
    std::mt19937 random(seed);
    Walk wild(subject(), model(), in);
    for (int move = 0; move < 10 && wild.left() > 0; ++move)
      if (wild.appends() > 0 && random() % 3 == 0)
        wild.roll_back(1 + static_cast<int64_t>(random() % wild.appends()));
      else
        wild.take(1 +
                  static_cast<int64_t>(random() % static_cast<unsigned>(std::min<int64_t>(3, wild.left()))));
  }
}

TEST_P(Appends, MayDifferInLengthFromRowToRow) {
  if (!build_decoded()) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  Walk(subject(), model(), inputs(subject(), 3, 7)).take_uneven({3, 1, 5});
}

INSTANTIATE_TEST_SUITE_P(Registered, Appends, testing::ValuesIn(subjects()), label_of);

}  // namespace
}  // namespace formwork::conformance
