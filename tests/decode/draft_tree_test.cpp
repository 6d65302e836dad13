#include "formwork/decode/draft_tree.h"

#include <gtest/gtest.h>

#include "error_of.h"
#include "formwork/core/error.h"
#include "formwork/core/token_tree.h"

namespace formwork {
namespace {

using List = std::vector<int64_t>;

// The buffers that Medusa's released code makes of these three paths.
TEST(DraftTree, HasMedusasBuffers) {
  const DraftTree tree({{0, 0}, {1}, {0}});
  const TokenTree tokens(tree.parent_row());
  const auto mask =
      at::tensor({1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1}).to(at::kBool).view({1, 4, 4});
  EXPECT_TRUE(tokens.sees().equal(mask));
  EXPECT_EQ(tree.depths(), List({0, 1, 1, 2}));
  EXPECT_EQ(tree.slots(10), List({0, 1, 2, 11}));
  EXPECT_EQ(tree.leaf_paths(), (std::vector<List>{{0, 1, 3}, {0, 2, -1}}));
}

TEST(DraftTree, HasThe63PathsOfMedusaDownToADepth) {
  const auto tree = DraftTree::from_json("medusa", 4);
  EXPECT_EQ(tree.size(), 64);
  for (const auto& [depth, nodes] : std::map<int64_t, int64_t>{{1, 10}, {2, 28}, {3, 23}, {4, 2}})
    EXPECT_EQ(std::count(tree.depths().begin(), tree.depths().end(), depth), nodes);
  EXPECT_EQ(DraftTree::from_json("medusa", 3).size(), 62);
  EXPECT_EQ(DraftTree::from_json("medusa", 9).depth(), 4);
}

// Entry i of a buffer times i + 1, summed: what Medusa's released code (e2a5d20) gives for its 63 paths.
TEST(DraftTree, HasMedusasBuffersOfThe63Paths) {
  const auto tree = DraftTree::from_json("medusa", 4);
  const auto weighed = [](const List& values) {
    int64_t sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += static_cast<int64_t>(i + 1) * values[i];
    return sum;
  };
  const auto sees = TokenTree(tree.parent_row()).sees().to(at::kLong).flatten().contiguous();
  EXPECT_EQ(weighed({sees.const_data_ptr<int64_t>(), sees.const_data_ptr<int64_t>() + sees.numel()}), 475912);
  EXPECT_EQ(weighed(tree.slots(10)), 40786);
  List leaves;
  for (const auto& path : tree.leaf_paths()) leaves.insert(leaves.end(), path.begin(), path.end());
  EXPECT_EQ(leaves.size(), 42u * 5);
  EXPECT_EQ(weighed(leaves), 177153);
}

TEST(DraftTree, IsAChainOrFull) {
  EXPECT_EQ(DraftTree::from_json("chain", 3).parents(), List({-1, 0, 1, 2}));
  const auto full = DraftTree::from_json(Json::parse(R"({"full": [2, 3]})"), 2);
  EXPECT_EQ(full.parents(), List({-1, 0, 0, 1, 1, 1, 2, 2, 2}));
  EXPECT_EQ(full.width(1), 2);
  EXPECT_EQ(full.width(2), 3);
  EXPECT_EQ(DraftTree::root_alone().leaf_paths(), (std::vector<List>{List{0}}));
}

// 0.6, then 0.6 * 0.5 before 0.2, then 0.2, then 0.6 * 0.2 before 0.2 * 0.5.
TEST(DraftTree, TakesTheLikeliestPaths) {
  const std::vector<std::vector<double>> accuracies = {{0.6, 0.2}, {0.5, 0.2}};
  const auto tree = DraftTree::likeliest(accuracies, 4);
  std::vector<List> paths;
  for (int64_t node = 1; node < tree.size(); ++node) paths.push_back(tree.path_of(node));
  EXPECT_EQ(paths, (std::vector<List>{{0}, {1}, {0, 0}, {0, 1}}));
  EXPECT_EQ(DraftTree::likeliest(accuracies, 6).size(), 7);
  EXPECT_NE(error_of([&] { DraftTree::likeliest(accuracies, 7); }).find("make only 6"), std::string::npos);
}

TEST(DraftTree, NamesWhatIsWrongWithAPath) {
  const auto refused = [](const char* json, int64_t depth) {
    return error_of([&] { DraftTree::from_json(Json::parse(json), depth); });
  };
  EXPECT_NE(refused("[[0], [1, 0]]", 3).find("path [1, 0] has no parent, [1] is missing"), std::string::npos);
  EXPECT_NE(refused("[[0], [0]]", 3).find("path [0] stands there twice"), std::string::npos);
  EXPECT_NE(refused("[[-1]]", 3).find("[-1]"), std::string::npos);
  EXPECT_NE(refused("[[0], [0, 0]]", 1).find("2 deep"), std::string::npos);
  EXPECT_NE(refused("[[0], []]", 1).find("expected a path"), std::string::npos);
  EXPECT_NE(refused("\"medsua\"", 1).find("medsua"), std::string::npos);
}

}  // namespace
}  // namespace formwork
