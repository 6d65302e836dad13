#include "formwork/core/token_tree.h"

#include <gtest/gtest.h>

#include "error_of.h"
#include "formwork/core/error.h"
#include "formwork/core/layout.h"

namespace formwork {
namespace {

Tensor ids(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong).unsqueeze(0); }

TEST(TokenTree, SeesAncestorsAndItself) {
  const TokenTree tree(ids({-1, 0, 0, 1}));
  EXPECT_TRUE(tree.depths().equal(ids({0, 1, 1, 2})));
  const auto expected =
      at::tensor({1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1}).to(at::kBool).view({1, 4, 4});
  EXPECT_TRUE(tree.sees().equal(expected));
}

TEST(TokenTree, SeesAllThatCameBefore) {
  const TokenTree tree(ids({-1, 0, 0}));
  // Two rows, of 2 and 1 earlier tokens, in a cache of 6.
  const auto seen = tree.seen(at::tensor({2, 1}, at::kLong), 6);
  EXPECT_TRUE(seen[0][2].equal(at::tensor({1, 1, 1, 0, 1, 0}).to(at::kBool)));
  EXPECT_TRUE(seen[1][1].equal(at::tensor({1, 1, 1, 0, 0, 0}).to(at::kBool)));
  const auto places = tree.places(at::tensor({2, 1}, at::kLong), 5);
  EXPECT_TRUE(places.equal(at::tensor({0, 1, 2, 3, 3, 0, 1, 2, 2, 2}, at::kLong).view({2, 5})));
}

TEST(TokenTree, RefusesParentsThatAreNoEarlierTokens) {
  EXPECT_NE(error_of([] { TokenTree(ids({-1, 1})); }).find("parent of token 1"), std::string::npos);
  EXPECT_NE(error_of([] { TokenTree(ids({-2})); }).find("found -2"), std::string::npos);
  EXPECT_NE(error_of([] { TokenTree(at::zeros({3}, at::kLong)); }).find("[B, T]"), std::string::npos);
}

// Drafts 1 and 2 of anchors 1 and 0 of a row of 3, entering at once or one after the other.
TEST(Layout, GrowsChainsOfDraftsBehindItsTokens) {
  Layout layout;
  layout.anchors = ids({1, 0});
  layout.positions = ids({5, 6, 7});
  const auto once = layout.with_drafts(3, 2), later = layout.with_drafts(3, 1).with_drafts(5, 1);
  for (const auto& grown : {once, later}) {
    EXPECT_TRUE(grown.tree->parents().equal(ids({-1, 0, 1, 1, 0, 3, 4})));
    EXPECT_TRUE(grown.tree->depths().equal(ids({0, 1, 2, 2, 1, 3, 2})));
    EXPECT_TRUE(grown.positions.equal(ids({5, 6, 7, 7, 6, 8, 7})));
    EXPECT_EQ(grown.drafts, 2);
  }
}

}  // namespace
}  // namespace formwork
