// Rows stand alone: later tokens, padding wherever it lies, neighbours and packing change nothing.
#include "conformance/suite.h"

namespace formwork::conformance {
namespace {

class Rows : public Suite {
 protected:
  bool stands_alone() {
    return when(traits().batch_independent, "rows depend on each other") &&
           when(traits().length_free, "takes rows of one length");
  }
};

TEST_P(Rows, DoNotSeeLaterTokensWhereCausal) {
  if (!build("causality") || !when(traits().causal, "not causal")) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  const auto in = inputs(subject(), 2, 6), other = inputs(subject(), 2, 6);
  const auto y = run(model(), in);
  for (const int64_t cut : {1, 4}) {
    auto changed = in;
    changed[subject().field] = at::cat(
        {in.at(subject().field).narrow(1, 0, cut), other.at(subject().field).narrow(1, cut, 6 - cut)}, 1);
    EXPECT_LT(gap(run(model(), changed).narrow(1, 0, cut), y.narrow(1, 0, cut)), 1e-11);
  }
}

// Padding on the right, on the left, and in the middle, in one batch.
TEST_P(Rows, StandAloneWhateverTheirPadding) {
  if (!build("padding") || !stands_alone()) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  const auto in = inputs(subject(), 4, 6);
  auto padded = in;
  const auto mask =
      at::tensor({1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 0, 1, 0}, at::kLong)
          .view({4, 6});
  padded[subject().with("attention_mask")] = mask;
  const auto y = run(model(), padded);
  for (int64_t b = 0; b < 4; ++b) {
    const auto real = mask[b].nonzero().squeeze(1);
    auto one = take_rows(in, {b});
    one[subject().field] = one.at(subject().field).index_select(1, real);
    const auto alone = run(model(), one)[0];
    EXPECT_LT(gap(alone, subject().per_token ? y[b].index_select(0, real) : y[b]), 1e-10) << "row " << b;
  }
}

TEST_P(Rows, PackedEqualSeparateOnes) {
  if (!build("packing") || !stands_alone()) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  auto in = inputs(subject(), 1, 8);
  const std::vector<int64_t> offsets = {0, 3, 4, 8};
  auto packed = in;
  packed["offsets"] = at::tensor(offsets, at::kLong);
  const auto y = run(model(), packed);
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t first = offsets[s], n = offsets[s + 1] - first;
    const auto alone = run(model(), take_tokens(subject(), in, first, n))[0];
    const auto here = subject().per_token ? y[0].narrow(0, first, n) : y[static_cast<int64_t>(s)];
    EXPECT_LT(gap(alone, here), 1e-10) << "row " << s;
  }
}

TEST_P(Rows, AreMixedByLineAlongADimension) {
  if (!build("along") || !when(subject().spec["model"].value("kind", "") == "mixers", "not a token mixer") ||
      !when(traits().length_free, "takes rows of one length"))
    GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  auto spec = subject().spec;
  spec["model"]["dims"] = {{"height", 2}, {"width", 3}};
  const auto x = inputs(subject(), 2, 6)["x"];
  spec["model"]["part"]["along"] = "width";
  const auto rows = run(*make(spec), {{"x", x}});
  EXPECT_LT(gap(rows.view({4, 3, -1}), run(model(), {{"x", x.view({4, 3, kWidth})}})), 1e-11);
  spec["model"]["part"]["along"] = "height";
  const auto columns = run(*make(spec), {{"x", x}}).view({2, 2, 3, -1}).transpose(1, 2);
  const auto turned = x.view({2, 2, 3, kWidth}).transpose(1, 2).reshape({6, 2, kWidth});
  EXPECT_LT(gap(columns.reshape({6, 2, -1}), run(model(), {{"x", turned}})), 1e-11);
}

INSTANTIATE_TEST_SUITE_P(Registered, Rows, testing::ValuesIn(subjects()), label_of);

}  // namespace
}  // namespace formwork::conformance
