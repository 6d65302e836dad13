// Students made of teachers, and runs in stages.
#include "formwork/transforms/distil/distillation.h"

#include <gtest/gtest.h>

#include "formwork/models/model_io.h"
#include "formwork/transforms/convert/transfer_weights.h"
#include "formwork/transforms/transform.h"
#include "train/distil_run.h"

namespace formwork {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Stages of 3, 2 and 4 updates of 4 rows of 16 tokens.
Json small_method() {
  return {{"mixer", small_mixer()},
          {"batch", 4},
          {"tokens", {192, 128, 256}},
          {"rates", {1e-2, 1e-2, 1e-2}},
          {"evaluate_batch", 32}};
}

DistilOptions quiet_options() {
  DistilOptions options;
  options.quiet = true, options.seed = 2;
  return options;
}

TransformResult exchange(const std::shared_ptr<Model>& model, const Json& options) {
  return Registry<Transform>::make({"exchange_mixers", options})->apply(model, {});
}

TEST(ExchangeMixers, KeepsEverythingElse) {
  const auto teacher = small_teacher();
  const auto made = exchange(teacher, {{"mixer", small_mixer()}, {"keep", {1, 3}}});
  EXPECT_EQ(made.report["exchanged"], Json({"layers.0.both.mixer", "layers.2.both.mixer"}));
  const auto& types = made.model->inventory().types;
  EXPECT_EQ(types.at("layers.0.both.mixer"), "discrete_mamba2");
  EXPECT_EQ(types.at("layers.1.both.mixer"), "attention");
  size_t kept = 0;
  for (const auto& param : made.model->inventory().params) {
    if (param.name.starts_with("layers.0.both.mixer.") || param.name.starts_with("layers.2.both.mixer."))
      continue;
    EXPECT_TRUE(param.value.equal(teacher->inventory().by_name.at(param.name)->value)) << param.name;
    ++kept;
  }
  EXPECT_GT(kept, 20u);
  EXPECT_EQ(made.model->spec().history.back()["transform"], "exchange_mixers");
}

// The block of a fresh student: u + W_out M W_x LN(u) + MLP(LN(u)).
TEST(ExchangeMixers, AFreshBlockIsItsMatrix) {
  const auto teacher = small_teacher();
  const auto student = exchange(teacher, {{"mixer", small_mixer()}}).model;
  const at::NoGradGuard guard;
  at::manual_seed(1);
  const Record in = {{"input_ids", at::randint(256, {2, 9}, at::kLong)}};
  Passage ours(*student, in, nullptr), theirs(*teacher, in, nullptr);
  const auto site = mixing_sites(*student)[2];
  const auto stream = ours.before(site.segment);
  auto ctx = student->make_context();
  const auto normed = site.step->mixer_input(ctx, stream.x);
  const auto& by_name = student->inventory().by_name;
  const auto weight = [&](const char* name) {
    return by_name.at(std::string("layers.2.both.mixer.") + name)->value;
  };
  const auto x = normed.matmul(weight("in.weight").narrow(0, 0, 8).t()).unflatten(-1, {2, 4}).transpose(1, 2);
  const auto mixed =
      ours.matrices(site, stream).matmul(x).transpose(1, 2).flatten(2).matmul(weight("out.weight").t());
  // What the teacher's block adds beside its mixer is the MLP of the same norm.
  const auto their_site = mixing_sites(*teacher)[2];
  const auto beside = theirs.run(2, 3, stream).x - stream.x - theirs.mixed(their_site, stream);
  EXPECT_LT((ours.before(3).x - (stream.x + mixed + beside)).abs().max().item<double>(), 1e-11);
}

TEST(ExchangeMixers, WorksOnOtherWiringsAndMixers) {
  auto model = small_decoder(0, at::kDouble);
  for (const char* type : {"toeplitz", "discrete_mamba2", "mamba2"}) {
    Json mixer = {{"type", type}};
    if (std::string(type) == "mamba2")
      mixer.update({{"head_width", 8}, {"d_state", 3}});
    else
      mixer["heads"] = 2;
    const auto made = exchange(model, {{"mixer", mixer}}).model;
    EXPECT_EQ(made->inventory().types.at("layers.1.mixer"), type);
    for (const auto& site : mixing_sites(*made)) EXPECT_TRUE(facet<MatrixFacet>(site.mixer())) << type;
  }
}

TEST(TransferWeights, ListsWhatIsMissing) {
  const auto teacher = small_teacher();
  auto spec = teacher->spec();
  spec.model.options["layers"]["repeat"] = 5;
  spec.model.options["head"] = {{"type", "lm"}, {"bias", false}};
  auto text = error_of([&] { transfer_weights(*teacher, spec, {}, 0); });
  EXPECT_TRUE(has(text, "lacks 11 of the parameters")) << text;
  for (const char* name : {"layers.4.both.norm.weight", "layers.4.both.mixer.qkv.weight",
                           "position.inverse_frequency", "layers.4.both.channel.up.bias"})
    EXPECT_TRUE(has(text, name)) << name << " in " << text;
  const auto made = transfer_weights(*teacher, spec, {"layers.4.both"}, 7);
  EXPECT_TRUE(made->inventory()
                  .by_name.at("layers.3.both.norm.bias")
                  ->value.equal(teacher->inventory().by_name.at("layers.3.both.norm.bias")->value));
  spec.model.options["width"] = 12;
  EXPECT_TRUE(has(error_of([&] { transfer_weights(*teacher, spec, {}, 0); }),
                  "embed.weight [256, 12], found [256, 8]"));
}

TEST(ExchangeMixers, RefusesLayersThatThereAreNot) {
  const auto teacher = small_teacher();
  EXPECT_TRUE(has(error_of([&] { exchange(teacher, {{"keep", {4}}}); }), "layers 0 to 3"));
  EXPECT_TRUE(has(error_of([&] { exchange(teacher, {{"keep", {0, 1, 2, 3}}}); }), "no layer is left"));
}

TEST(Mohawk, TrainsItsStagesAndLeavesTheTeacher) {
  const TemporaryFolder folder;
  const auto teacher = small_teacher(at::kFloat);
  const auto before = model_tensors(*teacher);
  TensorMap kept;
  for (const auto& [name, tensor] : before) kept[name] = tensor.clone();
  auto options = quiet_options();
  options.folder = (folder / "student").string();
  auto task = small_task(folder.path());
  const auto made = distil(teacher, *task, {"mohawk", small_method()}, options);
  EXPECT_TRUE(made.finished);
  ASSERT_EQ(made.stages.size(), 3u);
  EXPECT_EQ(made.stages[0]["step"], 3);
  EXPECT_EQ(made.stages[1]["step"], 2);
  EXPECT_EQ(made.stages[2]["step"], 4);
  for (const auto& [name, tensor] : model_tensors(*teacher)) EXPECT_TRUE(tensor.equal(kept.at(name))) << name;

  // Stages 1 and 2 train the new mixers alone, stage 3 everything.
  const auto after = [&](size_t i, const char* name) {
    return load_model(stage_folder(options.folder, i, name));
  };
  const auto first = after(1, "matrices"), second = after(2, "hidden_states"),
             last = load_model(options.folder);
  for (const auto& param : second->inventory().params) {
    const auto& name = param.name;
    const bool fresh = has(name, ".both.mixer.");
    EXPECT_EQ(param.rule.frozen, !fresh) << name;
    if (!fresh) EXPECT_TRUE(param.value.equal(kept.at(name))) << name;
    EXPECT_FALSE(last->inventory().by_name.at(name)->rule.frozen) << name;
    EXPECT_FALSE(last->inventory().by_name.at(name)->value.equal(param.value)) << name;
  }
  const auto value = [](Model& model, const char* name) { return model.inventory().by_name.at(name)->value; };
  const char* in = "layers.0.both.mixer.in.weight";
  EXPECT_FALSE(value(*first, in).narrow(0, 8, 12).equal(value(*second, in).narrow(0, 8, 12)));
  EXPECT_TRUE(value(*first, "layers.1.both.mixer.D").ne(1).any().item<bool>());
  EXPECT_EQ(greatest_difference(*made.student, *last), 0);
}

// N updates == k + resume + (N - k), wherever the run is cut: inside a stage and between two.
TEST(Mohawk, ResumesExactly) {
  const TemporaryFolder folder;
  const auto teacher = small_teacher(at::kFloat);
  auto task = small_task(folder.path());
  const auto straight = distil(teacher, *task, {"mohawk", small_method()}, quiet_options()).student;
  for (const int64_t cut : {1, 3, 4, 7, 9}) {
    auto options = quiet_options();
    options.folder = (folder / fmt::format("cut-{}", cut)).string(), options.stop_after = cut;
    const auto part = distil(teacher, *task, {"mohawk", small_method()}, options);
    EXPECT_EQ(part.finished, cut == 9) << cut;
    EXPECT_EQ(std::filesystem::exists(options.folder + "/result.json"), cut == 9) << cut;
    options.stop_after = 0, options.resume = true;
    auto fresh_task = small_task(folder.path());
    const auto resumed = distil(small_teacher(at::kFloat), *fresh_task, {"mohawk", small_method()}, options);
    EXPECT_TRUE(resumed.finished);
    EXPECT_EQ(resumed.stages.size(), 3u);
    EXPECT_EQ(greatest_difference(*straight, *resumed.student), 0) << cut;
    EXPECT_EQ(greatest_difference(*straight, *load_model(options.folder)), 0) << cut;
  }
}

TEST(Mohawk, LearnsStageByStage) {
  const TemporaryFolder folder;
  const auto teacher = small_teacher(at::kFloat);
  auto task = small_task(folder.path());
  auto trained = small_options();
  trained.steps = 60, trained.batch = 8;
  train(*teacher, *task, trained);
  auto method = small_method();
  method["tokens"] = {64 * 40, 64 * 40, 64 * 40};
  auto options = quiet_options();
  options.folder = (folder / "run").string();
  distil(teacher, *task, {"mohawk", method}, options);
  const Cast others = Cast().set(kTeacher, teacher);
  const auto loss = [&](Model& model, const PartSpec& objective) {
    return evaluation_loss(model, CastTask(*task, others, {objective}), 16);
  };
  const auto start = exchange(teacher, {{"mixer", small_mixer()}, {"seed", 2}}).model;
  const auto one = load_model(stage_folder(options.folder, 1, "matrices")),
             two = load_model(stage_folder(options.folder, 2, "hidden_states")),
             three = load_model(options.folder);
  EXPECT_LT(loss(*one, "matrices"), 0.8 * loss(*start, "matrices"));
  EXPECT_LT(loss(*two, "hidden_states"), 0.9 * loss(*one, "hidden_states"));
  EXPECT_LT(loss(*three, "logits"), loss(*two, "logits") - 0.01);
}

TEST(Mohawk, TakesOtherMixersAndKeepsAttention) {
  const TemporaryFolder folder;
  const auto teacher = small_teacher(at::kFloat);
  auto task = small_task(folder.path());
  for (const auto& mixer :
       {Json{{"type", "toeplitz"}, {"heads", 2}},
        Json{{"type", "discrete_mamba2"}, {"heads", 2}, {"d_state", 3}, {"decay", false}}}) {
    auto method = small_method();
    method["mixer"] = mixer, method["keep"] = {1}, method["target"] = "block", method["gap"] = 2;
    const auto made = distil(teacher, *task, {"mohawk", method}, quiet_options());
    EXPECT_TRUE(made.finished);
    EXPECT_EQ(made.student->inventory().types.at("layers.1.both.mixer"), "attention");
    EXPECT_EQ(made.student->inventory().types.at("layers.2.both.mixer"), mixer["type"]);
  }
}

TEST(Mohawk, ErrorsSayWhatWasExpected) {
  const TemporaryFolder folder;
  const auto teacher = small_teacher(at::kFloat);
  auto task = small_task(folder.path());
  const auto refusal = [&](const Json& change, DistilOptions options = quiet_options()) {
    auto method = small_method();
    method.update(change);
    return error_of([&] { distil(teacher, *task, {"mohawk", method}, options); });
  };
  EXPECT_TRUE(has(refusal({{"stages", {3, 1}}}), "expected ascending stages, found 3, 1"));
  EXPECT_TRUE(has(refusal({{"stages", {2, 2}}}), "ascending"));
  EXPECT_TRUE(has(refusal({{"stages", {1, 4}}}), "stages 1, 2 and 3, found 1, 4"));
  EXPECT_TRUE(has(refusal({{"stages", Json::array()}}), "is empty"));
  EXPECT_TRUE(has(refusal({{"tokens", {1, 2}}}), "expected 3 numbers, found 2"));
  EXPECT_TRUE(has(refusal({{"mixer", small_mixer(4)}}), "repeat_heads"));
  EXPECT_TRUE(has(refusal({{"mixer", {{"type", "dla"}, {"heads", 2}}}}), "facet 'matrix'"));
  EXPECT_TRUE(has(refusal({{"mixr", 1}}), "did you mean 'mixer'"));
  const auto pooling = small_teacher(at::kFloat, "average_past");
  EXPECT_TRUE(has(error_of([&] {
                    distil(pooling, *task, {"mohawk", small_method()}, quiet_options());
                  }),
                  "layers.0.both.mixer: expected a part with the facet 'matrix', found 'average_past'"));

  auto options = quiet_options();
  options.folder = (folder / "run").string(), options.stop_after = 1;
  EXPECT_EQ(refusal(Json::object(), options), "");
  EXPECT_TRUE(has(refusal(Json::object(), options), "has a distillation; resume it"));
  options.resume = true;
  EXPECT_TRUE(has(refusal({{"batch", 8}}, options), "the run to resume had method"));
  const auto other = small_teacher(at::kFloat);
  {
    const at::NoGradGuard guard;
    other->inventory().params.front().value.add_(1);
  }
  EXPECT_TRUE(has(error_of([&] {
                    distil(other, *task, {"mohawk", small_method()}, options);
                  }),
                  "had teacher"));
  options.folder.clear();
  EXPECT_TRUE(has(refusal(Json::object(), options), "without a folder"));
}

}  // namespace
}  // namespace formwork
