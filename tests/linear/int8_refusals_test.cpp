#include <gtest/gtest.h>

#include "int8_maps.h"

namespace formwork {
namespace {

TEST(Int8, NeverTurnsInputsThatAreNotFiniteIntoNumbers) {
  at::manual_seed(13);
  for (const auto& scheme : kSchemes)
    for (const double threshold : {0.0, 6.0})
      for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
        OneMap map(24, 5, int8(scheme, threshold));
        auto x = at::randn({4, 24});
        const auto clean = map(x);
        x[2][20] = bad;
        const auto y = map(x);
        EXPECT_TRUE(at::isnan(y[2]).all().item<bool>()) << scheme << threshold << bad;
        if (scheme == "vector" || scheme == "absmax-row" || scheme == "zeropoint-vector") {
          EXPECT_TRUE(at::equal(y[0], clean[0]) && at::equal(y[3], clean[3])) << scheme << threshold << bad;
        }
      }
}

TEST(Int8, RefusesBadInput) {
  OneMap map(16, 4, int8(0));
  EXPECT_EQ(error_of([&] { map(at::zeros({2, 15})); }), "map: expected inputs of width 16, found [2, 15]");
  EXPECT_EQ(error_of([&] {
              map(at::zeros({2, 16}, at::kLong));
            }),
            "map: expected floating inputs, found Long");
  EXPECT_NE(error_of([] { OneMap(16, 4, int8(-1)); }).find("'threshold' must be a number in [0"),
            std::string::npos);
  EXPECT_EQ(error_of([] { OneMap(131073, 1, int8(0)); }),
            "map: 'int8' sums at most 131072 inputs exactly, and this map has 131073");
  auto w = at::randn({4, 16});
  w[3][1] = INFINITY;
  for (const auto& scheme : kSchemes) {
    Int8Options options;
    options.scheme = scheme;
    EXPECT_EQ(error_of([&] { int8_tensors(w, options, "layers.0.up"); }),
              "layers.0.up: row 3 of the weight has an entry that is not finite");
  }
  map.tensor("scale").set_requires_grad(true);
  EXPECT_NE(error_of([&] { map(at::zeros({2, 16})); }).find("set has_fp16_weights"), std::string::npos);
  // What float16 does not hold.
  OneMap trained(16, 4, {{"type", "int8"}, {"has_fp16_weights", true}});
  {
    const at::NoGradGuard guard;
    trained.tensor("weight")[1][2] = 1e5;
  }
  EXPECT_EQ(error_of([&] {
              trained(at::zeros({2, 16}));
            }),
            "map: row 1 of the weight has an entry that is not finite");
}

TEST(Int8, RefusesOptionsWithoutEffect) {
  const auto refused = [](Json json, const std::string& option) {
    json["type"] = "int8";
    EXPECT_NE(error_of([&] { OneMap(16, 4, json); }).find("'" + option + "' has no effect"),
              std::string::npos)
        << json.dump();
  };
  for (const Json& off : {Json{{"threshold", 0}}, Json{{"decomposition", false}}}) {
    OneMap(16, 4, [&] {
      Json json = off;
      json["type"] = "int8";
      return json;
    }());
    for (const auto& [option, value] : std::map<std::string, Json>{
             {"row_max", "values"}, {"outlier_weight", "keep16"}, {"outlier_pool", true}}) {
      Json json = off;
      json[option] = value;
      refused(json, option);
    }
  }
  refused({{"threshold", 5.0}, {"decomposition", false}}, "threshold");
}

}  // namespace
}  // namespace formwork
