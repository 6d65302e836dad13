#include "formwork/train/optimizers/optimizer.h"
#include "transforms/fixtures.h"

namespace formwork {
namespace {

std::shared_ptr<Model> plain_decoder(bool bias = false) {
  DecoderShape shape;
  shape.dtype = at::kFloat;
  shape.mixer["bias"] = bias;
  return make_decoder(shape);
}

std::shared_ptr<Model> adapt(const Json& options, const std::shared_ptr<Model>& model) {
  return apply("add_lora", options, model).model;
}

std::set<std::string> trained(const Model& model) {
  std::set<std::string> names;
  for (const auto& param : model.inventory().params)
    if (param.trainable()) names.insert(param.name);
  return names;
}

int64_t trained_count(const Model& model) {
  int64_t count = 0;
  for (const auto& param : model.inventory().params)
    if (param.trainable()) count += param.value.numel();
  return count;
}

// rank (in + out) for each map of the blocks.
int64_t update_count(const Model& model, int64_t rank) {
  int64_t count = 0;
  for (const auto* map : block_maps(model)) count += rank * (map->in() + map->out());
  return count;
}

TEST(AddLora, OnlyTheUpdatesTrain) {
  const auto model = plain_decoder(/*bias=*/true);
  const auto result = apply("add_lora", {{"rank", 3}}, model);
  const auto& adapted = *result.model;
  EXPECT_EQ(trained_count(adapted), update_count(*model, 3));
  for (const auto& name : trained(adapted)) EXPECT_TRUE(name.ends_with(".a") || name.ends_with(".b")) << name;
  EXPECT_EQ(trained(*reloaded(adapted, "add_lora")), trained(adapted));
  int64_t reported = 0;
  for (const auto& row : result.report["maps"]) reported += row.value("update", 0);
  EXPECT_EQ(reported, update_count(*model, 3));
  // Over codes too, and beside shortcuts that a method left behind.
  const auto codes = apply("int4_rtn", {{"group", 8}}, model).model;
  EXPECT_EQ(trained_count(*adapt({{"rank", 3}}, codes)), update_count(*model, 3));
  const auto sliced =
      apply("slicegpt", {{"sparsity", 0.25}, {"recovery", "lora"}, {"lora_rank", 2}}, model).model;
  for (const auto& name : trained(*sliced)) EXPECT_TRUE(name.ends_with(".a") || name.ends_with(".b")) << name;
}

TEST(AddLora, TrainsWhatItIsToldBesides) {
  const auto model = plain_decoder(/*bias=*/true);
  const auto more = [&](const Json& train) {
    return trained_count(*adapt({{"rank", 2}, {"train", train}}, model)) - update_count(*model, 2);
  };
  EXPECT_EQ(more(Json::array()), 0);
  EXPECT_EQ(more({"*norm.weight"}), 5 * 32);
  EXPECT_EQ(more({"layers.1.*norm.weight", "norm.weight"}), 3 * 32);
  EXPECT_EQ(more({"*.bias"}), 2 * 64) << "those of qkv, a map that is adapted";
  EXPECT_EQ(
      more({"*"}), trained_count(*model) - [&] {
        int64_t maps = 0;
        for (const auto* map : block_maps(*model)) maps += map->in() * map->out();
        return maps;
      }());
  const auto adapted = adapt({{"train", {"*.1.channel.norm.weight"}}}, model);
  EXPECT_TRUE(trained(*reloaded(*adapted, "add_lora_norms")).count("layers.1.channel.norm.weight"));
  EXPECT_FALSE(trained(*adapted).count("layers.0.channel.norm.weight"));

  EXPECT_NE(refusal("add_lora", {{"train", {"norm.wieght"}}}, model).find("did you mean 'norm.weight'"),
            std::string::npos);
  EXPECT_NE(refusal("add_lora", {{"train", {"*.base.weight"}}}, model).find("parameter that can train"),
            std::string::npos);
  EXPECT_NE(refusal("add_lora", {{"train", "norm.weight"}}, model).find("must be a list"), std::string::npos);
  EXPECT_NE(refusal("add_lora", {{"train", {1}}}, model).find("expected a pattern"), std::string::npos);
}

TEST(AddLora, TrainingChangesUpdatesAlone) {
  const auto adapted = adapt({{"rank", 2}}, plain_decoder());
  std::map<std::string, Tensor> before;
  for (const auto& param : adapted->inventory().params) before[param.name] = param.value.detach().clone();
  const auto optimizer = Registry<Optimizer>::make("adamw", *adapted);
  const auto ids = at::arange(24, at::kLong).view({2, 12});
  const auto loss = [&] {
    auto ctx = adapted->make_context();
    const auto y = adapted->forward(ctx, {{"input_ids", ids}})["logits"];
    return at::cross_entropy_loss(y.flatten(0, 1), ids.roll(-1, 1).flatten());
  };
  const double first = loss().item<double>();
  for (int64_t step = 1; step <= 5; ++step) {
    optimizer->parameters().clear_gradients();
    loss().backward();
    Update update;
    update.step = step, update.rate = 1e-2;
    optimizer->step(update);
  }
  EXPECT_LT(loss().item<double>(), first);
  for (const auto& param : adapted->inventory().params)
    EXPECT_EQ(at::equal(param.value, before.at(param.name)), !param.trainable()) << param.name;
}

TEST(AddLora, MergingLetsEverythingTrainAgain) {
  const auto model = plain_decoder();
  const auto merged = apply("to_dense", Json::object(), adapt({{"rank", 2}}, model)).model;
  EXPECT_EQ(trained(*merged), trained(*model));
  EXPECT_TRUE(merged->spec().sources.empty());
  EXPECT_EQ(trained(*reloaded(*merged, "merged")), trained(*model));
}

TEST(AddLora, BanksOfExpertsGetNoneAndAWarning) {
  DecoderShape shape;
  shape.channel = {{"type", "experts"}, {"experts", 4}, {"active", 2}, {"hidden", 16}};
  const auto result = apply("add_lora", Json::object(), make_decoder(shape));
  ASSERT_EQ(result.report.at("warnings").size(), 1u);
  EXPECT_NE(result.report["warnings"][0].get<std::string>().find("a bank of 4 matrices"), std::string::npos);
  EXPECT_FALSE(trained(*result.model).count("layers.0.channel.router.weight"));
}

TEST(AddLora, ASourceThatIsNeitherSharedNorStoredIsRefused) {
  const auto build = [](const Json& source) {
    auto spec = plain_decoder()->spec();
    spec.sources["layers.0.*"] = source;
    return build_model(spec, 0);
  };
  EXPECT_THROW(build({{"type", "frozen"}}), Error);
  EXPECT_THROW(build({{"type", "stored"}, {"frozen", 1}}), Error);
  EXPECT_THROW(build({{"type", "stored"}}), Error);
  for (const auto& name : trained(*build({{"type", "stored"}, {"frozen", true}})))
    EXPECT_NE(name.rfind("layers.0.", 0), 0u) << name;
}

TEST(AddLora, FreezesMapsInTheFormTheyHave) {
  DecoderShape shape;
  shape.dtype = at::kFloat;
  auto model = make_decoder(shape);
  for (const std::string method : {"int4_rtn", "greenformers"}) {
    const Json options = method == "int4_rtn" ? Json{{"group", 8}} : Json{{"solver", "svd"}};
    const auto small = apply(method, options, model).model;
    const auto adapted = apply("add_lora", {{"rank", 3}}, small).model;
    EXPECT_LT(distance(*small, *adapted), 1e-5) << method;
    for (const auto& param : adapted->inventory().params)
      if (param.name.find(".base.") != std::string::npos) EXPECT_FALSE(param.trainable()) << param.name;
    set(*adapted, "layers.1.channel.down.b", at::ones({32, 3}));
    EXPECT_GT(distance(*small, *adapted), 1e-3) << method;
    EXPECT_LT(distance(*adapted, *reloaded(*adapted, "lora_" + method)), 1e-9) << method;
    EXPECT_LT(distance(*adapted, *apply("to_dense", Json::object(), adapted).model), 1e-4) << method;
  }
  // Factors that are quantized stay so below their base.
  const auto factors =
      apply("int4_rtn", {{"group", 8}}, apply("greenformers", {{"rank", 8}, {"solver", "svd"}}, model).model)
          .model;
  const auto adapted = apply("add_lora", Json::object(), factors).model;
  EXPECT_EQ(map_of(*adapted, "layers.0.mixer.qkv.base.a").type(), "int4");
  EXPECT_LT(distance(*factors, *adapted), 1e-5);
}

}  // namespace
}  // namespace formwork
