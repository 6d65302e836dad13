#include "formwork/core/facet.h"

#include <gtest/gtest.h>

namespace formwork {
namespace {

class Bare : public Part {};

class Costly : public Part, public CostFacet {
 public:
  double flops_per_token(int64_t context) const override { return 2.0 * static_cast<double>(context); }
};

class Both : public Costly, public MatrixFacet {
 public:
  TokenMatrix matrix(Context&, const Tensor& x) override {
    return {at::eye(x.size(1)), x, [](const Tensor& mixed) { return mixed; }};
  }
};

TEST(Facet, PartsOfferWhatTheyDeriveFrom) {
  EXPECT_TRUE(facets_of(Bare()).empty());
  EXPECT_EQ(facets_of(Costly()), (std::vector<std::string>{"cost"}));
  EXPECT_EQ(facets_of(Both()), (std::vector<std::string>{"cost", "matrix"}));
  Both both;
  EXPECT_EQ(require_facet<CostFacet>(both, "layers.0.mixer").flops_per_token(5), 10);
}

TEST(Facet, AMissingOneIsNamedWithThePartAndWhatItOffers) {
  Costly part;
  try {
    require_facet<MatrixFacet>(part, "layers.3.mixer");
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string text = error.what();
    for (const char* piece : {"layers.3.mixer", "'matrix'", "cost"})
      EXPECT_NE(text.find(piece), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace formwork
