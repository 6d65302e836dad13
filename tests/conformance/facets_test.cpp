// Facets: second views of a part must describe the same part.
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

INSTANTIATE_TEST_SUITE_P(Parts, Facets, testing::ValuesIn(part_subjects()), label_of);

}  // namespace
}  // namespace formwork::conformance
