#include <set>

#include "transforms/fixtures.h"

namespace formwork {
namespace {

// A method at its mildest budget, or from its defaults where it has none.
std::unique_ptr<Transform> mildest(const std::string& method) {
  const auto budgets = Registry<Transform>::make({method, Json::object()})->budgets();
  return Registry<Transform>::make({method, budgets.empty() ? Json::object() : budgets[0]});
}

// What a dense model without modules, windows and rotary pairs gives no work to.
const std::set<std::string> kWithoutWork = {"to_dense", "grow_modules", "prune_modules", "resize_windows",
                                            "rotary_layout"};

TEST(Transforms, AllPairsStayFinite) {
  DecoderShape shape;
  shape.layers = 4, shape.dtype = at::kFloat;
  const auto model = make_decoder(shape);
  const auto data = calibration();
  for (const auto& first : Registry<Transform>::names()) {
    std::shared_ptr<Model> once;
    try {
      once = mildest(first)->apply(model, data).model;
    } catch (const Error& error) {
      EXPECT_TRUE(kWithoutWork.count(first)) << first << ": " << error.what();
      continue;
    }
    for (const auto& second : Registry<Transform>::names()) {
      try {
        const auto after = mildest(second)->apply(once, data).model;
        EXPECT_TRUE(logits(*after).isfinite().all().item<bool>()) << first << " then " << second;
        EXPECT_EQ(after->spec().history.size(), 2u) << first << " then " << second;
      } catch (const Error& error) {
        EXPECT_GT(std::string(error.what()).size(), 10u);  // refused, with a reason
      }
    }
  }
}

}  // namespace
}  // namespace formwork
