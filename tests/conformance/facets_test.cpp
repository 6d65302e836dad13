// Facets: second views of a part must describe the same part.
#include <variant>

#include "conformance/suite.h"
#include "formwork/core/facet.h"

namespace formwork::conformance {
namespace {

class Facets : public Suite {
 protected:
  MatrixFacet* matrix_facet() {
    const auto& parts = model().inventory().parts;
    const auto found = parts.find("part");
    return found == parts.end() ? nullptr : dynamic_cast<MatrixFacet*>(found->second);
  }
};

// `matrix`: the mixer is its matrices times its values, finished.
TEST_P(Facets, MatricesTimesValuesAreTheMixer) {
  if (!build("matrix") || !when(matrix_facet(), "no facet 'matrix'") ||
      !when(!subject().spec["model"].contains("memory_width"), "of two streams"))
    GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  const auto in = inputs(subject(), 2, 6);
  auto ctx = model().make_context();
  const auto view = matrix_facet()->matrix(ctx, in.at("x"));
  EXPECT_EQ(view.weights.size(2), 6);
  EXPECT_EQ(view.weights.size(3), 6);
  EXPECT_LT(gap(view.finish(view.weights.matmul(view.values)), run(model(), in)), 1e-11);
  if (traits().causal) EXPECT_EQ(view.weights.triu(1).abs().max().item<double>(), 0);
}

// `split`: whatever the rules and the source, the sides make up the output, and a side of zeros stays one.
class Splits : public Suite {
 protected:
  // The split of the output where the tokens that `source` [T] names are the relevant side; where a part
  // lacks the facet, the reason.
  std::variant<Split, std::string> carried(const Record& in, const Tensor& source, const SplitRules& rules) {
    auto* view = facet<SplitModelFacet>(model());
    if (!view) return "the model has no facet 'split'";
    auto ctx = model().make_context();
    const auto stream = model().start(ctx, in).at("residual");
    const auto last = static_cast<int64_t>(model().segments().size());
    const LayoutScope scope(ctx, stream.layout);
    const auto relevant = at::where(source.unsqueeze(-1), stream.x, at::zeros_like(stream.x));
    try {
      SplitPass pass(ctx, model().inventory(), rules);
      return view->finish(pass, view->carry(pass, 0, last, {relevant, stream.x - relevant}));
    } catch (const Error& error) {
      const std::string text = error.what();
      if (text.find("facet 'split'") == std::string::npos) throw;
      return std::string("a part without facet 'split'");
    }
  }

  // All tokens of the subject's stream.
  Tensor everything(const Record& in) {
    auto ctx = model().make_context();
    return at::ones({model().start(ctx, in).at("residual").x.size(1)}, at::kBool);
  }
};

std::vector<SplitRules> all_rules() {
  std::vector<SplitRules> list;
  for (const char* attention : {"frozen", "split"})
    for (const char* activation : {"remainder", "shapley"})
      for (const char* repair : {"none", "mlp", "all"})
        list.push_back({attention, "exact", activation, repair});
  return list;
}

// What a transformer is made of: here a facet that is missing is an error.
bool must_split(const Subject& subject) {
  static const std::vector<std::string> parts = {"mixers/attention/",
                                                 "channels/mlp/",
                                                 "channels/gated_mlp/",
                                                 "norms/",
                                                 "activations/",
                                                 "wiring/pre/",
                                                 "wiring/post/",
                                                 "wiring/sandwich/",
                                                 "wiring/parallel/",
                                                 "wiring/looped/",
                                                 "linear/dense/",
                                                 "linear/low_rank/",
                                                 "linear/lora/",
                                                 "linear/stacked/",
                                                 "linear/block_diagonal/",
                                                 "linear/masked/",
                                                 "linear/int4/",
                                                 "positions/rotary/0/inside",
                                                 "scores/",
                                                 "models/decoder/attention",
                                                 "models/encoder/head_lm",
                                                 "models/encoder/head_masked_lm",
                                                 "models/encoder/head_classifier",
                                                 "models/encoder/head_embedder",
                                                 "models/encoder/head_hidden",
                                                 "models/decoder/position_"};
  const bool listed = std::any_of(parts.begin(), parts.end(),
                                  [&](const auto& part) { return subject.label.starts_with(part); });
  return listed && !subject.spec["model"].contains("memory_width");
}

TEST_P(Splits, SidesMakeUpTheOutput) {
  if (!build("split")) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  const auto in = inputs(subject(), 2, 6);
  const auto all = everything(in), even = at::arange(all.size(0), at::kLong).remainder(2).eq(0);
  const auto y = run(model(), in);
  for (const auto& rules : all_rules()) {
    const auto found = carried(in, even, rules);
    if (found.index()) EXPECT_FALSE(must_split(subject())) << std::get<1>(found);
    if (!when(found.index() == 0, found.index() ? std::get<1>(found) : "")) GTEST_SKIP() << reason();
    EXPECT_LT(gap(std::get<0>(found).whole(), y), 1e-10) << options_json(rules).dump();
  }
}

TEST_P(Splits, ASideOfZerosStaysOne) {
  if (!build("split ends")) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  const auto in = inputs(subject(), 2, 6);
  const auto all = everything(in);
  for (const auto& rules : all_rules()) {
    const auto empty = carried(in, all.logical_not(), rules);
    if (!when(empty.index() == 0, empty.index() ? std::get<1>(empty) : "")) GTEST_SKIP() << reason();
    EXPECT_EQ(std::get<0>(empty).relevant.abs().max().item<double>(), 0) << options_json(rules).dump();
    if (subject().label.find("sigmoid") != std::string::npos) continue;  // f(0) is not 0
    EXPECT_EQ(std::get<0>(carried(in, all, rules)).rest.abs().max().item<double>(), 0)
        << options_json(rules).dump();
  }
}

INSTANTIATE_TEST_SUITE_P(Registered, Splits, testing::ValuesIn(subjects()), label_of);
INSTANTIATE_TEST_SUITE_P(Parts, Facets, testing::ValuesIn(part_subjects()), label_of);

}  // namespace
}  // namespace formwork::conformance
