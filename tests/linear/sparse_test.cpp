#include <gtest/gtest.h>

#include "formwork/linear/sparse/masked.h"
#include "one_map.h"

namespace formwork {
namespace {

TEST(Masks, KeepWhatTheySay) {
  at::manual_seed(1);
  const auto scores = at::rand({6, 24});
  const auto whole = keep_highest(scores, 0.25, false), rows = keep_highest(scores, 0.25, true);
  EXPECT_EQ(whole.sum().item<int64_t>(), 108);
  EXPECT_TRUE(rows.sum(1).eq(18).all().item<bool>());
  EXPECT_LE(scores.masked_select(whole.logical_not()).max().item<float>(),
            scores.masked_select(whole).min().item<float>());
  EXPECT_TRUE(keep_n_of_m(scores, 2, 4).view({6, 6, 4}).sum(2).eq(2).all().item<bool>());
  EXPECT_THROW(keep_n_of_m(scores, 2, 5), Error);
}

TEST(Masked, RebuildsWhatWasKept) {
  at::manual_seed(2);
  const auto w = at::randn({5, 20}, at::kDouble);
  const auto mask = keep_highest(w.abs(), 0.6, false);
  OneMap bits(20, 5, {{"type", "masked"}, {"kept", mask.sum().item<int64_t>()}}, at::kDouble);
  bits.set(unstructured_tensors(w, mask));
  EXPECT_TRUE(at::equal(bits.map->dense(), w * mask));
  EXPECT_EQ(bits.map->bytes(), 40 * 8 + 5 * 3);
  const auto pattern = keep_n_of_m(w.abs(), 2, 4);
  OneMap pairs(20, 5, {{"type", "masked"}, {"pattern", "n_of_m"}, {"n", 2}, {"m", 4}}, at::kDouble);
  pairs.set(n_of_m_tensors(w, pattern, 2, 4));
  EXPECT_TRUE(at::equal(pairs.map->dense(), w * pattern));
  const auto x = at::randn({3, 20}, at::kDouble);
  EXPECT_LT(largest(pairs(x) - x.matmul((w * pattern).t())), 1e-12);
}

TEST(Masked, GradientsAgreeWithDifferencesAndZerosStay) {
  at::manual_seed(3);
  for (const std::string pattern : {"unstructured", "n_of_m"}) {
    OneMap map(8, 3, {{"type", "masked"}, {"pattern", pattern}}, at::kDouble, true);
    const auto x = at::randn({4, 8}, at::kDouble).set_requires_grad(true);
    EXPECT_LT(gradient_error(map.tensor("values"), [&] { return map(x); }), 1e-7);
    EXPECT_LT(gradient_error(x, [&] { return map(x); }), 1e-7);
    const auto zeros = map.map->dense() == 0;
    EXPECT_EQ(zeros.sum().item<int64_t>(), 12);
    const auto before = map.map->dense();
    const auto grad = torch::autograd::grad({map(x).square().sum()}, {map.tensor("values")})[0];
    {
      const at::NoGradGuard guard;
      map.tensor("values").sub_(grad * 0.1);
    }
    EXPECT_FALSE(at::equal(map.map->dense(), before));
    EXPECT_TRUE(at::equal(map.map->dense() == 0, zeros));
  }
}

TEST(Masked, AxesSayWhatMayMove) {
  OneMap bits(8, 3, {{"type", "masked"}}), pairs(8, 3, {{"type", "masked"}, {"pattern", "n_of_m"}});
  EXPECT_EQ(bits.inventory.axes.at("out").group, Group::none);
  EXPECT_EQ(pairs.inventory.axes.at("out").group, Group::permute);
}

TEST(BlockDiagonal, MultipliesByItsDense) {
  at::manual_seed(4);
  OneMap map(12, 6, {{"type", "block_diagonal"}, {"blocks", 3}}, at::kDouble, true);
  const auto x = at::randn({2, 5, 12}, at::kDouble);
  const auto dense = map.map->dense();
  EXPECT_EQ((dense != 0).sum().item<int64_t>(), 24);
  EXPECT_EQ(largest(dense.slice(0, 0, 2).slice(1, 4, 12)), 0);
  EXPECT_LT(largest(map(x) - at::linear(x, dense, map.tensor("bias"))), 1e-12);
  EXPECT_LT(gradient_error(map.tensor("weight"), [&] { return map(x); }), 1e-7);
  EXPECT_THROW(OneMap(12, 6, {{"type", "block_diagonal"}, {"blocks", 4}}), Error);
}

}  // namespace
}  // namespace formwork
