// The published student, and Phi of Hugging Face Transformers as its teacher: the same weights give the same
// matrices, outputs, losses and gradients of all three stages.
#include "formwork/train/cast_task.h"
#include "parity/fixture.h"

namespace formwork {
namespace {

Json phi_layer(const Json& mixer) {
  return {{"type", "parallel"},
          {"norm", "layer_norm"},
          {"mixer", mixer},
          {"channel", {{"type", "mlp"}, {"hidden", 32}, {"activation", "gelu_tanh"}}}};
}

std::shared_ptr<Model> phi(const Json& mixer, const std::function<Tensor(const std::string&)>& find) {
  const Json model = {{"type", "decoder"},
                      {"vocab", 24},
                      {"width", 8},
                      {"tie", false},
                      {"norm", "layer_norm"},
                      {"head", {{"type", "lm"}, {"bias", true}}},
                      {"layers", {{"repeat", 2}, {"pattern", Json::array({phi_layer(mixer)})}}}};
  auto made = build_model(Spec::from_json({{"formwork", 1}, {"model", model}}, "test"));
  const at::NoGradGuard guard;
  for (auto& param : made->inventory().params)
    if (param.trainable()) param.value.copy_(find(param.name).view(param.value.sizes()));
  return made;
}

const Json kTeacherMixer = {{"type", "attention"}, {"heads", 2},
                            {"fused", false},      {"bias", true},
                            {"out_bias", true},    {"position", {{"type", "rotary"}, {"fraction", 0.5}}}};
const Json kStudentMixer = {{"type", "discrete_mamba2"}, {"heads", 2}, {"d_state", 3}, {"chunk", 8}};

std::string teacher_name(const std::string& ours) {
  return "teacher." + renamed(ours, {{"layers.", "model.layers."},
                                     {"embed.", "model.embed_tokens."},
                                     {"both.norm.", "input_layernorm."},
                                     {"both.mixer.query.", "self_attn.q_proj."},
                                     {"both.mixer.key.", "self_attn.k_proj."},
                                     {"both.mixer.value.", "self_attn.v_proj."},
                                     {"both.mixer.out.", "self_attn.dense."},
                                     {"both.channel.up.", "mlp.fc1."},
                                     {"both.channel.down.", "mlp.fc2."},
                                     {"head.", "lm_head."}});
}

std::string student_name(const std::string& ours) {
  return "student." + renamed(ours, {{"layers.", "backbone.layers."},
                                     {"embed.", "backbone.embedding."},
                                     {"both.norm.", "input_layernorm."},
                                     {"both.mixer.in.", "mixer.in_proj."},
                                     {"both.mixer.conv.", "mixer.conv1d."},
                                     {"both.mixer.out.", "mixer.out_proj."},
                                     {"both.", ""},
                                     {"channel.up.", "mlp.fc1."},
                                     {"channel.down.", "mlp.fc2."},
                                     {"head.", "lm_head."}});
}

struct Published {
  TensorMap theirs = parity_fixture("mohawk");
  size_t used = 0;
  std::shared_ptr<Model> teacher = phi(kTeacherMixer, [&](const std::string& name) {
    ++used;
    return theirs.at(name.starts_with("norm.") ? "teacher.model.final_layer" + name : teacher_name(name));
  });
  std::shared_ptr<Model> student = phi(kStudentMixer, [&](const std::string& name) {
    ++used;
    return theirs.at(name.starts_with("norm.") ? "student.backbone.final_layer" + name : student_name(name));
  });
  Record inputs() const { return {{"input_ids", theirs.at("ids")}}; }
};

TEST(MohawkParity, EveryWeightIsUsed) {
  const Published published;
  const auto of_models =
      std::count_if(published.theirs.begin(), published.theirs.end(), [](const auto& entry) {
        return entry.first.starts_with("teacher.") || entry.first.starts_with("student.");
      });
  EXPECT_EQ(published.used, static_cast<size_t>(of_models));
}

TEST(MohawkParity, MatricesOutputsAndSteps) {
  const at::NoGradGuard guard;
  const Published published;
  const auto inputs = published.inputs();
  Passage teacher(*published.teacher, inputs, nullptr), student(*published.student, inputs, nullptr);
  const auto& theirs = published.theirs;
  expect_parity("teacher", teacher.out().at("logits"), theirs.at("teacher_logits"), 1e-4);
  expect_parity("student", student.out().at("logits"), theirs.at("student_logits"), 1e-4);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const auto ours = mixing_sites(*published.student)[static_cast<size_t>(layer)],
               attention = mixing_sites(*published.teacher)[static_cast<size_t>(layer)];
    const auto& stream = teacher.before(layer);
    const auto name = [&](const char* what) { return fmt::format("{}.{}", what, layer); };
    expect_parity(name("attention"), teacher.matrices(attention, stream), theirs.at(name("attention")), 1e-4);
    expect_parity(name("matrix"), student.matrices(ours, stream), theirs.at(name("matrix")), 1e-4);
    expect_parity(name("mixed"), student.mixed(ours, stream), theirs.at(name("mixed")), 1e-4);
  }
  // Token by token, by the published `step` and ours.
  const auto site = mixing_sites(*published.student)[0];
  auto ctx = published.student->make_context();
  const auto x = site.step->mixer_input(ctx, teacher.before(0).x);
  StateOptions options;
  options.batch = 2;
  const auto state = site.mixer().make_state(options);
  std::vector<Tensor> steps;
  for (int64_t t = 0; t < x.size(1); ++t)
    steps.push_back(site.mixer().append(ctx, x.narrow(1, t, 1), state.get()));
  expect_parity("steps", at::cat(steps, 1), theirs.at("stepped"), 1e-4);
}

TEST(MohawkParity, LossesAndGradientsOfTheStages) {
  const std::vector<std::pair<const char*, PartSpec>> stages = {
      {"matrices", PartSpec("matrices")},
      {"mixer", PartSpec("hidden_states")},
      {"block", PartSpec("hidden_states", {{"target", "block"}})},
      {"logits", PartSpec("logits", {{"temperature", 1.5}})}};
  const auto task = Registry<Task>::make(PartSpec("copy"));
  for (const auto& [name, objective] : stages) {
    const Published published;
    const Cast others = Cast().set(kTeacher, published.teacher);
    const CastTask cast(*task, others, {objective});
    Batch batch;
    batch.inputs = published.inputs(), batch.targets = published.theirs.at("ids");
    auto ctx = published.student->make_context();
    const auto loss = cast.loss(*published.student, ctx, batch, batch.size());
    expect_parity(fmt::format("loss {}", name), loss, published.theirs.at(fmt::format("loss.{}", name)),
                  1e-4);
    loss.backward();
    size_t compared = 0;
    for (const auto& param : published.student->inventory().params) {
      const std::string mixer = "student.backbone.layers.0.mixer.";
      const auto theirs = student_name(param.name);
      if (!theirs.starts_with(mixer)) continue;
      const auto found = published.theirs.find(fmt::format("grad.{}.{}", name, theirs.substr(mixer.size())));
      if (found == published.theirs.end()) continue;
      expect_parity(found->first, param.value.grad().view(found->second.sizes()), found->second, 1e-4);
      ++compared;
    }
    EXPECT_GE(compared, 3u) << name;
  }
}

}  // namespace
}  // namespace formwork
