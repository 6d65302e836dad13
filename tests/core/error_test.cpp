#include "formwork/core/error.h"

#include <gtest/gtest.h>

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

}  // namespace formwork
