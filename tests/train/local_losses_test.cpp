// The losses of local learning against definitions written out, and reconstructors that can be exact.
#include <gtest/gtest.h>

#include "formwork/explain/features/information_kept.h"
#include "formwork/heads/reconstructors/reconstructor.h"
#include "formwork/train/objectives/reconstruction.h"
#include "formwork/train/objectives/supervised_contrastive.h"
#include "interop/temporary_folder.h"
#include "train/local_run.h"

namespace formwork {
namespace {

Tensor unit_rows_of(const Tensor& x) { return x / x.norm(2, -1, true); }

double contrastive_by_loops(const Tensor& z, const std::vector<int64_t>& labels, double tau) {
  const auto rows = static_cast<int64_t>(labels.size());
  const auto similar = [&](int64_t i, int64_t j) { return std::exp(z[i].dot(z[j]).item<double>() / tau); };
  double sum = 0;
  for (int64_t i = 0; i < rows; ++i) {
    double others = 0, of_row = 0, positives = 0;
    for (int64_t j = 0; j < rows; ++j)
      if (j != i) others += similar(i, j);
    for (int64_t j = 0; j < rows; ++j)
      if (j != i && labels[static_cast<size_t>(j)] == labels[static_cast<size_t>(i)])
        of_row -= std::log(similar(i, j) / others), ++positives;
    sum += positives > 0 ? of_row / positives : 0;
  }
  return sum / static_cast<double>(rows);
}

TEST(SupervisedContrastive, IsItsDefinition) {
  at::manual_seed(1);
  const auto z = unit_rows_of(at::randn({6, 5}, at::kDouble));
  for (const std::vector<int64_t>& labels : {std::vector<int64_t>{0, 1, 0, 2, 1, 0}, {0, 1, 2, 3, 4, 5}}) {
    const auto given = at::tensor(labels, at::kLong);
    for (const double tau : {0.07, 0.5})
      EXPECT_NEAR(supervised_contrastive(z, given, tau).item<double>(), contrastive_by_loops(z, labels, tau),
                  1e-6);
  }
  EXPECT_FALSE(has_positives(at::arange(4, at::kLong)));
  EXPECT_TRUE(has_positives(at::tensor({0, 1, 0}, at::kLong)));
}

TEST(SupervisedContrastive, IsKnownForFewRows) {
  const auto one = unit_rows_of(at::randn({1, 5}, at::kDouble));
  EXPECT_EQ(supervised_contrastive(one.expand({2, 5}), at::zeros({2}, at::kLong)).item<double>(), 0);
  const auto axes = at::eye(2, at::kDouble);
  const auto pairs = at::cat({axes, axes});
  EXPECT_NEAR(supervised_contrastive(pairs, at::tensor({0, 1, 0, 1}, at::kLong)).item<double>(),
              std::log(1 + 2 * std::exp(-1 / 0.07)), 1e-9);
  EXPECT_EQ(supervised_contrastive(one, at::zeros({1}, at::kLong)).item<double>(), 0);
}

TEST(SupervisedContrastive, HasTheGradientOfFiniteDifferences) {
  at::manual_seed(2);
  auto z = at::randn({4, 3}, at::kDouble).set_requires_grad(true);
  const auto labels = at::tensor({0, 1, 0, 2}, at::kLong);
  const auto loss = [&](const Tensor& x) { return supervised_contrastive(unit_rows_of(x), labels, 0.3); };
  loss(z).backward();
  const at::NoGradGuard guard;
  for (int64_t i = 0; i < 12; ++i) {
    auto shift = at::zeros({12}, at::kDouble);
    shift[i] = 1e-6;
    shift = shift.view({4, 3});
    const auto slope = (loss(z + shift) - loss(z - shift)) / 2e-6;
    EXPECT_NEAR(slope.item<double>(), z.grad().view({12})[i].item<double>(), 1e-7);
  }
}

TEST(Reconstruction, LeavesPaddingOut) {
  at::manual_seed(3);
  const auto y = at::randn({2, 3, 4}, at::kDouble), t = at::randn({2, 3, 4}, at::kDouble);
  const auto keep = at::tensor({1, 1, 1, 1, 0, 0}, at::kLong).ne(0).view({2, 3});
  const auto errors = (y - t).square().mean(-1);
  const auto expected = (errors[0].sum() + errors[1][0]) / 4;
  EXPECT_NEAR(feature_distance(y, t, keep).item<double>(), expected.item<double>(), 1e-14);
  EXPECT_NEAR(feature_distance(y, t, {}).item<double>(), errors.mean().item<double>(), 1e-14);
  const auto normed = normalized_tokens(t);
  EXPECT_LT(normed.mean(-1).abs().max().item<double>(), 1e-12);
  EXPECT_NEAR(normed.square().mean(-1).max().item<double>(), 1, 1e-3);
}

// A map of tokens whose four neighbours become one by an orthogonal matrix, and back by its transpose.
TEST(Reconstruction, UndoesAnOrthogonalSpaceToDepthExactly) {
  at::manual_seed(4);
  const auto fine = at::randn({3, 16, 5}, at::kDouble);
  const auto p = std::get<0>(at::linalg_qr(at::randn({20, 20}, at::kDouble)));
  const auto merged =
      fine.view({3, 2, 2, 2, 2, 5}).permute({0, 1, 3, 2, 4, 5}).reshape({3, 4, 20}).matmul(p.t());
  Inventory inventory;
  inventory.dtype = at::kDouble;
  Build build(inventory, "decoder", {}, Axis{"", 5});
  build.in = build.axis("in", 20);
  const auto decoder = Registry<Reconstructor>::make("linear", build, Enlargement{2, 2});
  {
    const at::NoGradGuard guard;
    inventory.by_name.at("decoder.map.weight")->value.copy_(p.t());
    inventory.by_name.at("decoder.map.bias")->value.zero_();
  }
  Layout coarse, target;
  coarse.dims = {{"height", 2}, {"width", 2}}, target.dims = {{"height", 4}, {"width", 4}};
  Context ctx;
  const LayoutScope scope(ctx, coarse);
  const auto y = decoder->forward(ctx, merged, target);
  EXPECT_LT(feature_distance(y, fine, {}).item<double>(), 1e-8);
}

TEST(InformationKept, IsAllWherePatchesAreMergedByAnInvertibleMap) {
  auto spec = Spec::from_json(small_pyramid(), "test");
  spec.model.options["layers"] = Json::array({window_block(2, 0),
                                              {{"type", "patch_merging"}, {"width", 32}, {"norm", nullptr}},
                                              {{"type", "patch_merging"}, {"width", 16}, {"norm", nullptr}},
                                              window_block(1, 0)});
  auto model = build_model(spec, 1, at::kDouble);
  at::manual_seed(5);
  std::vector<Record> batches;
  for (int i = 0; i < 4; ++i) batches.push_back({{"pixel_values", at::rand({32, 3, 8, 8}, at::kDouble)}});
  const auto all = information_kept(*model, batches, "layers.0", "layers.1");
  EXPECT_EQ(all.rows, 128);
  EXPECT_GT(all.explained, 1 - 1e-8);
  const auto some = information_kept(*model, batches, "layers.1", "layers.2");
  EXPECT_LT(some.explained, 0.9) << "16 numbers for 128";
  EXPECT_NE(error_of([&] {
              information_kept(*model, {{{"pixel_values", at::rand({4, 3, 8, 8}, at::kDouble)}}}, "layers.0",
                               "layers.1");
            }).find("rows to fit"),
            std::string::npos);
}

}  // namespace
}  // namespace formwork
