#include "formwork/core/error.h"

#include <gtest/gtest.h>

#include "formwork/core/json_text.h"
#include "formwork/core/tensor.h"

namespace formwork {

TEST(Error, NamesTheNearestKnownName) {
  EXPECT_EQ(nearest("atention", {"attention", "average", "mamba"}), "attention");
  EXPECT_EQ(nearest("zzzzzzzz", {"attention", "mamba"}), "");
  try {
    fail_unknown("mixer", "mamab", {"attention", "mamba"});
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "unknown mixer 'mamab'; did you mean 'mamba'?");
  }
}

TEST(ParseJson, RefusesWhatIsBrokenOrNestedTooDeep) {
  const auto said = [](const std::string& text) {
    try {
      parse_json<Json>(text, "file");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(said(nested(200)), "");
  EXPECT_EQ(said(nested(300)), "file: JSON nested deeper than 200 levels");
  EXPECT_EQ(said(nested(1000000)), "file: JSON nested deeper than 200 levels");
  EXPECT_NE(said("{\"a\": ").find("file: not valid JSON"), std::string::npos);
  EXPECT_LT(said("\"" + std::string(1000000, 'x')).size(), 200U);
}

}  // namespace formwork
