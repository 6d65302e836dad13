// LoRD on banks of experts and attention modules: each matrix by the outputs of the tokens that take it.
#include "formwork/transforms/modules.h"
#include "transforms/fixtures.h"

namespace formwork {
namespace {

// Attention modules and experts, two of four for each token.
std::shared_ptr<Model> routed(bool bias = false) {
  DecoderShape shape;
  shape.position = "none";
  shape.mixer = {{"type", "stick_breaking"}, {"modules", 4}, {"active", 2}, {"heads", 2}, {"head_width", 6}};
  shape.channel = {{"type", "experts"}, {"experts", 4},   {"active", 2},
                   {"hidden", 24},      {"gated", false}, {"bias", bias}};
  return make_decoder(shape);
}

TransformResult lord(Json options, const std::shared_ptr<Model>& model,
                     const Calibration& data = calibration(true, 4, 48)) {
  options["allocation"] = "uniform";
  return apply("lord", options, model, data);
}

std::vector<const LinearMap*> banks(const Model& model) {
  std::vector<const LinearMap*> list;
  for (const auto* map : model.inventory().maps)
    if (map->banks() > 0) list.push_back(map);
  return list;
}

TEST(LordBanks, FullRankKeepsTheFunction) {
  for (const bool bias : {false, true}) {
    const auto model = routed(bias);
    ASSERT_EQ(banks(*model).size(), 8u);
    for (const auto* basis : {"afm_centred", "afm_uncentred", "svd_whitened"}) {
      const auto made = lord({{"rank", 4096}, {"allow_full", true}, {"basis", basis}}, model).model;
      for (const auto* bank : banks(*model)) EXPECT_EQ(map_of(*made, bank->path()).type(), "low_rank");
      EXPECT_LT(distance(*model, *made), 1e-7) << basis;
      EXPECT_TRUE(at::equal(logits(*made), logits(*reloaded(*made, "lord_banks"))));
    }
  }
}

// The tokens of an expert are those whose two largest probabilities name it.
TEST(LordBanks, FactorsOfAnExpertAreTheLeadingEigenvectorsOfItsOwnOutputs) {
  const auto model = routed(/*bias=*/true);
  const auto data = calibration(true, 4, 48);
  const std::string path = "layers.0.channel.up";
  auto& bank = map_of(*model, path);
  const auto made = lord({{"rank", 5}}, model, data).model;
  const auto x = rows_at(*model, data, bank.input_tap());
  const auto pool = pool_of(*model, bank);
  ASSERT_TRUE(pool);
  const auto chosen = std::get<1>(rows_at(*model, data, pool->probabilities).topk(2, -1));
  ASSERT_EQ(chosen.size(0), x.size(0));
  const auto bias = bank.bias()->value.detach();
  for (int64_t g = 0; g < 4; ++g) {
    const auto y = x.index({chosen.eq(g).any(1)}).matmul(bank.dense()[g].t()) + bias[g];
    const auto mean = y.mean(0);
    const auto vectors = std::get<0>(at::linalg_svd((y - mean).t(), false)).narrow(1, 0, 5);
    const auto projector = vectors.matmul(vectors.t());
    auto& split = map_of(*made, path);
    EXPECT_LT(largest(split.dense()[g] - projector.matmul(bank.dense()[g])), 1e-8) << g;
    EXPECT_LT(largest(split.bias()->value.detach()[g] - mean - projector.matmul(bias[g] - mean)), 1e-8) << g;
  }
}

TEST(LordBanks, MomentsAreThoseOfRealTokensOnce) {
  const auto model = routed();
  const auto data = calibration(/*padded=*/true, 1, 24);
  Calibration alone;  // the same rows, each without its padding
  for (int64_t row = 0; row < 4; ++row) {
    const int64_t first = row == 0 ? 5 : 0;
    alone.batches.push_back(
        {{"input_ids", data.batches[0].at("input_ids").narrow(0, row, 1).narrow(1, first, 24 - first)}});
  }
  const auto together = collect_module_moments(*model, data, banks(*model));
  const auto one_by_one = collect_module_moments(*model, alone, banks(*model));
  ASSERT_EQ(together.size(), 8u);
  for (const auto& [tap, modules] : together) {
    int64_t count = 0;
    for (size_t g = 0; g < modules.size(); ++g) {
      const auto& other = one_by_one.at(tap)[g];
      count += modules[g].count;
      EXPECT_EQ(modules[g].count, other.count);
      if (other.count > 0) EXPECT_LT(largest(modules[g].outer - other.outer), 1e-9);
    }
    EXPECT_EQ(count, 2 * (4 * 24 - 5)) << "two modules for each token";
  }
}

TEST(LordBanks, TheBudgetCountsThem) {
  const auto model = routed();
  const auto transform = Registry<Transform>::make(
      {"lord", {{"ratio", 0.3}, {"allocation", "uniform"}, {"basis", "svd_whitened"}}});
  const auto made = transform->apply(model, calibration(true, 4, 48));
  EXPECT_NEAR(transform->budget(*model, made)->reached, 0.3, 0.06);
  for (const auto* bank : banks(*model)) {
    const auto row = row_of(made.report, bank->path());
    EXPECT_EQ(row["parameters_before"], 4 * bank->in() * bank->out());
    EXPECT_EQ(row["parameters"], 4 * row["rank"].get<int64_t>() * (bank->in() + bank->out()));
    EXPECT_EQ(map_of(*made.model, bank->path()).bytes(), 8 * row["parameters"].get<int64_t>());
    EXPECT_GT(row["predicted_error"].get<double>(), 0);
  }
}

TEST(LordBanks, ExpertsWithFewTokensAreSplitByTheirWeights) {
  const auto model = routed();
  const auto data = at_most(calibration(false, 1, 4), 1, 0);  // four tokens, and ranks from five on
  const auto made = lord({{"rank", 4}, {"types", {"up"}}}, model, data);
  const auto row = row_of(made.report, "layers.0.channel.up");
  EXPECT_EQ(row["rank"], 4);
  EXPECT_EQ(row["by_weights"], 4);
  EXPECT_NE(made.report["warnings"].dump().find("are split by their weights alone"), std::string::npos);
  const auto before = map_of(*model, "layers.0.channel.up").dense(),
             after = map_of(*made.model, "layers.0.channel.up").dense();
  for (int64_t g = 0; g < 4; ++g) {
    const auto best = std::get<1>(at::linalg_svd(before[g], false)).narrow(0, 4, 20).square().sum();
    EXPECT_NEAR((after[g] - before[g]).square().sum().item<double>(), best.item<double>(), 1e-8) << g;
  }
}

}  // namespace
}  // namespace formwork
