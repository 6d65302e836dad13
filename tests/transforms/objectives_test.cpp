// What a student minimizes against its teacher: exact values, what gets gradients and what does not.
#include <gtest/gtest.h>

#include "formwork/core/autocast.h"
#include "formwork/train/cast_task.h"
#include "formwork/transforms/convert/transfer_weights.h"
#include "formwork/transforms/transform.h"
#include "train/distil_run.h"

namespace formwork {
namespace {

std::shared_ptr<Model> exchanged(const std::shared_ptr<Model>& teacher, const Json& mixer,
                                 const Json& keep = Json::array()) {
  return Registry<Transform>::make({"exchange_mixers", {{"mixer", mixer}, {"keep", keep}, {"seed", 3}}})
      ->apply(teacher, {})
      .model;
}

std::shared_ptr<Model> twin(const std::shared_ptr<Model>& model) {
  return transfer_weights(*model, model->spec(), {}, 0);
}

struct Setting {
  TemporaryFolder folder;
  std::unique_ptr<Task> task = small_task(folder.path());
  std::shared_ptr<Model> teacher = small_teacher();
  Cast others = Cast().set(kTeacher, teacher);

  Setting() { task->prepare(teacher->inventory().spec.meta); }

  // Four rows of 16 tokens; with `padded`, rows of 16, 9, 1 and 12.
  Batch batch(bool padded = false) const {
    auto batch = task->training_batch(4, 0, 0);
    if (!padded) return batch;
    const auto lengths = at::tensor({16, 9, 1, 12}, at::kLong).unsqueeze(1);
    const auto keep = at::arange(16, at::kLong).unsqueeze(0) < lengths;
    batch.inputs["attention_mask"] = keep.to(at::kLong);
    batch.targets = at::where(keep, batch.targets, at::full_like(batch.targets, -100));
    return batch;
  }
  Tensor loss(Model& student, const PartSpec& objective, const Batch& part, const BatchSize& whole) const {
    const CastTask cast(*task, others, {objective});
    cast.check(student);
    auto ctx = student.make_context();
    return cast.loss(student, ctx, part, whole);
  }
  double loss(Model& student, const PartSpec& objective, const Batch& batch) const {
    return loss(student, objective, batch, batch.size()).item<double>();
  }
};

const std::vector<PartSpec> kObjectives = {
    PartSpec("matrices"), PartSpec("hidden_states"), PartSpec("hidden_states", {{"target", "block"}}),
    PartSpec("hidden_states", {{"target", "block"}, {"gap", 2}}), PartSpec("logits")};

double entropy(Model& teacher, const Batch& batch) {
  const at::NoGradGuard guard;
  auto ctx = teacher.make_context();
  const auto logits = teacher.forward(ctx, batch.inputs).at("logits");
  auto sum = -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1);
  if (batch.inputs.count("attention_mask")) sum = sum * batch.inputs.at("attention_mask");
  return sum.sum().item<double>() / static_cast<double>(batch.token_count());
}

// A mixer with the teacher's matrices and values, biases included: nothing is left to learn, and a distance
// of 0 has a gradient.
TEST(Objectives, VanishForTheTeacherItself) {
  const Setting setting;
  for (const bool padded : {false, true}) {
    const auto batch = setting.batch(padded);
    for (const auto& objective : kObjectives) {
      const auto student = twin(setting.teacher);
      const auto loss = setting.loss(*student, objective, batch, batch.size());
      const double floor = objective.type == "logits" ? entropy(*setting.teacher, batch) : 0;
      EXPECT_NEAR(loss.item<double>(), floor, 1e-6) << objective.to_json().dump();
      loss.backward();
      for (const auto& param : student->inventory().params)
        if (param.value.grad().defined())
          EXPECT_TRUE(param.value.grad().isfinite().all().item<bool>()) << param.name;
    }
  }
}

TEST(Objectives, AreTheirFormulas) {
  const Setting setting;
  const auto student = exchanged(setting.teacher, small_mixer());
  const auto batch = setting.batch();
  const at::NoGradGuard guard;
  Passage theirs(*setting.teacher, batch.inputs, nullptr);
  Passage ours(*student, batch.inputs, nullptr);
  double matrices = 0, mixers = 0, blocks = 0;
  const auto sites = mixing_sites(*student), their_sites = mixing_sites(*setting.teacher);
  ASSERT_EQ(sites.size(), 4u);
  for (size_t l = 0; l < sites.size(); ++l) {
    const auto stream = theirs.before(static_cast<int64_t>(l));
    const auto m = ours.matrices(sites[l], stream), a = theirs.matrices(their_sites[l], stream);
    EXPECT_LT((a.sum(-1) - 1).abs().max().item<double>(), 1e-12) << "softmax rows sum to 1";
    for (int64_t row = 0; row < 4; ++row)
      for (int64_t head = 0; head < 2; ++head)
        matrices += (m[row][head] - a[row][head]).square().sum().sqrt().item<double>() / 8;
    mixers += (ours.mixed(sites[l], stream) - theirs.mixed(their_sites[l], stream))
                  .square()
                  .sum(-1)
                  .sqrt()
                  .mean()
                  .item<double>();
    blocks += (ours.run(static_cast<int64_t>(l), static_cast<int64_t>(l) + 1, stream).x -
               theirs.before(static_cast<int64_t>(l) + 1).x)
                  .square()
                  .sum(-1)
                  .sqrt()
                  .mean()
                  .item<double>();
  }
  EXPECT_NEAR(setting.loss(*student, kObjectives[0], batch), matrices, 1e-9);
  EXPECT_NEAR(setting.loss(*student, kObjectives[1], batch), mixers, 1e-9);
  EXPECT_NEAR(setting.loss(*student, kObjectives[2], batch), blocks, 1e-9);
  const auto p = theirs.out().at("logits").softmax(-1), q = (ours.out().at("logits") / 2).log_softmax(-1);
  EXPECT_NEAR(setting.loss(*student, {"logits", {{"temperature", 2}}}, batch),
              -(p * q).sum(-1).mean().item<double>(), 1e-9);
  EXPECT_NEAR(setting.loss(*student, {"matrices", {{"weight", 0.25}}}, batch), matrices / 4, 1e-9);
}

// Padding counts nowhere: the sums over rows are those of the rows alone, without it.
TEST(Objectives, LeavePaddingOut) {
  const Setting setting;
  const auto student = exchanged(setting.teacher, small_mixer());
  const auto padded = setting.batch(true);
  const at::NoGradGuard guard;
  for (const auto& objective : kObjectives) {
    double rows = 0;
    for (int64_t row = 0; row < 4; ++row) {
      auto one = padded.narrow(row, 1);
      const int64_t length = one.token_count();
      one.inputs = Record{{"input_ids", one.inputs.at("input_ids").narrow(1, 0, length)}};
      one.targets = one.targets.narrow(1, 0, length);
      rows += setting.loss(*student, objective, one, padded.size()).item<double>();
    }
    EXPECT_NEAR(setting.loss(*student, objective, padded), rows, 1e-9) << objective.to_json().dump();
  }
}

TEST(Objectives, GradientsOfTheSumAreThoseOfSeparateLayers) {
  const Setting setting;
  const auto batch = setting.batch();
  const auto summed = exchanged(setting.teacher, small_mixer());
  setting.loss(*summed, kObjectives[0], batch, batch.size()).backward();
  const auto apart = exchanged(setting.teacher, small_mixer());
  auto ctx = apart->make_context();
  Passage ours(*apart, batch.inputs, &ctx), theirs(*setting.teacher, batch.inputs, nullptr);
  const auto sites = mixing_sites(*apart), their_sites = mixing_sites(*setting.teacher);
  for (size_t l = 0; l < sites.size(); ++l) {
    const auto stream = theirs.before(static_cast<int64_t>(l));
    const auto gap = ours.matrices(sites[l], stream) - theirs.matrices(their_sites[l], stream);
    at::linalg_vector_norm(gap, 2, at::IntArrayRef{-2, -1}).mean().backward();
  }
  double greatest = 0;
  for (const auto& param : summed->inventory().params) {
    const auto& other = apart->inventory().by_name.at(param.name)->value;
    ASSERT_EQ(param.value.grad().defined(), other.grad().defined()) << param.name;
    if (!other.grad().defined()) continue;
    EXPECT_LT((param.value.grad() - other.grad()).abs().max().item<double>(), 1e-6) << param.name;
    greatest = std::max(greatest, other.grad().abs().max().item<double>());
  }
  EXPECT_GT(greatest, 1e-3);
}

TEST(Objectives, OfMatricesReachWhatFormsThemAlone) {
  const Setting setting;
  const auto batch = setting.batch();
  auto student = exchanged(setting.teacher, small_mixer());
  {
    Edit edit(*student);
    edit.train_only({"layers.*.both.mixer.*"});
    student = edit.finish();
  }
  setting.loss(*student, kObjectives[0], batch, batch.size()).backward();
  const auto grad = [&](const std::string& name) {
    return student->inventory().by_name.at(name)->value.grad();
  };
  const auto in = grad("layers.0.both.mixer.in.weight");  // x 8, B 6, C 6, z 8, a 2
  const auto greatest = [](const Tensor& t) { return t.abs().max().item<double>(); };
  EXPECT_EQ(greatest(in.narrow(0, 0, 8)), 0) << "x";
  EXPECT_EQ(greatest(in.narrow(0, 20, 8)), 0) << "z";
  for (const auto& [first, count] : {std::pair{8, 6}, {14, 6}, {28, 2}})
    EXPECT_GT(greatest(in.narrow(0, first, count)), 0) << first;
  const auto conv = grad("layers.0.both.mixer.conv.weight");
  EXPECT_EQ(greatest(conv.narrow(0, 0, 8)), 0);
  EXPECT_GT(greatest(conv.narrow(0, 8, 12)), 0);
  EXPECT_GT(greatest(grad("layers.0.both.mixer.D")), 0);
  for (const auto& param : student->inventory().params)
    if (param.name.find(".mixer.out") != std::string::npos ||
        param.name.find(".mixer.") == std::string::npos || param.name.ends_with("z_bias"))
      EXPECT_TRUE(!param.value.grad().defined() || greatest(param.value.grad()) == 0) << param.name;
  for (const auto& param : setting.teacher->inventory().params)
    EXPECT_FALSE(param.value.grad().defined()) << param.name;
}

TEST(Objectives, LeaveOutLayersThatDoNotTrain) {
  const Setting setting;
  const auto batch = setting.batch();
  auto student = exchanged(setting.teacher, small_mixer(), {1});
  Edit edit(*student);
  edit.train_only({"layers.0.both.mixer.*"});
  student = edit.finish();
  const auto sites = trained_sites(*student);
  ASSERT_EQ(sites.size(), 1u);
  EXPECT_EQ(sites[0].path(), "layers.0.both.mixer");
  EXPECT_LT(setting.loss(*student, kObjectives[0], batch),
            setting.loss(*exchanged(setting.teacher, small_mixer()), kObjectives[0], batch));
}

TEST(Objectives, AccumulationEqualsTheLargeBatch) {
  const Setting setting;
  auto options = small_options();
  options.steps = 2, options.batch = 5;
  for (const auto& objective : kObjectives) {
    CastTask task(*setting.task, setting.others, {objective});
    const auto one = exchanged(setting.teacher, small_mixer()),
               parts = exchanged(setting.teacher, small_mixer());
    options.accumulate = 1;
    train(*one, task, options);
    options.accumulate = 3;
    train(*parts, task, options);
    EXPECT_LT(greatest_difference(*one, *parts), 1e-9) << objective.to_json().dump();
  }
}

TEST(Objectives, TargetsAreReadInTheTeachersOwnPrecision) {
  const Setting setting;
  const auto batch = setting.batch();
  const auto teacher = small_teacher(at::kFloat);
  Passage plain(*teacher, batch.inputs, nullptr);
  const auto exact = plain.out().at("logits");
  const AutocastGuard bf16({at::kCPU, true, at::kBFloat16});
  Passage inside(*teacher, batch.inputs, nullptr);
  EXPECT_TRUE(inside.out().at("logits").equal(exact));
  EXPECT_FALSE(exact.requires_grad());
}

TEST(Objectives, RefuseModelsThatCannotBeCompared) {
  const Setting setting;
  const auto batch = setting.batch();
  const auto refusal = [&](Model& student, const PartSpec& objective) {
    return error_of([&] { setting.loss(student, objective, batch); });
  };
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  const auto wide = exchanged(setting.teacher, small_mixer(4));
  const auto heads = refusal(*wide, kObjectives[0]);
  EXPECT_TRUE(has(heads, "has 4 heads") && has(heads, "has 2") && has(heads, "repeat_heads")) << heads;
  EXPECT_GT(setting.loss(*wide, {"matrices", {{"repeat_heads", true}}}, batch), 0);
  const auto one =
      refusal(*exchanged(setting.teacher, small_mixer(1)), {"matrices", {{"repeat_heads", true}}});
  EXPECT_TRUE(has(one, "give the student 2 heads") && !has(one, "or set")) << one;

  const auto other = exchanged(setting.teacher, {{"type", "dla"}, {"heads", 2}});
  EXPECT_TRUE(has(refusal(*other, kObjectives[0]), "facet 'matrix'"));
  auto packed = batch;
  packed.inputs["input_ids"] = batch.inputs.at("input_ids").reshape({1, -1});
  packed.targets = batch.targets.reshape({1, -1});
  packed.inputs["offsets"] = at::tensor({0, 16, 64}, at::kLong);
  const auto student = exchanged(setting.teacher, small_mixer());
  EXPECT_TRUE(has(error_of([&] { setting.loss(*student, kObjectives[0], packed); }), "packed rows"));
  EXPECT_GT(setting.loss(*student, kObjectives[2], packed), 0) << "hidden states need no matrices";

  EXPECT_TRUE(has(error_of([&] { setting.others.at("critic"); }), "'critic'; there are: teacher"));
  EXPECT_TRUE(has(refusal(*student, {"hidden_states", {{"target", "block"}, {"gap", 3}}}), "gaps of 3"));
  EXPECT_TRUE(has(refusal(*student, {"hidden_states", {{"gap", 2}}}), "target is 'block'"));
  EXPECT_TRUE(has(error_of([&] { CastTask(*setting.task, setting.others, {}); }), "at least one objective"));
  Edit edit(*student);
  edit.train_only({"head.*"});
  EXPECT_TRUE(has(refusal(*edit.finish(), kObjectives[0]), "no token mixer of the student trains"));
}

}  // namespace
}  // namespace formwork
