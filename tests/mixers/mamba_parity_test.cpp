// The same weights give the same logits as MambaForCausalLM of Hugging Face Transformers.
#include "parity/fixture.h"

namespace formwork {
namespace {

// Its names map one to one to ours.
std::string their_name(const std::string& ours) {
  return renamed(ours, {{"layers", "backbone.layers"},
                        {"embed.", "backbone.embeddings."},
                        {".mixer.norm.", ".norm."},
                        {".mixer.in.", ".mixer.in_proj."},
                        {".mixer.x.", ".mixer.x_proj."},
                        {".mixer.delta.", ".mixer.dt_proj."},
                        {".mixer.out.", ".mixer.out_proj."},
                        {".mixer.conv.", ".mixer.conv1d."}});
}

std::shared_ptr<Model> with_their_weights(const TensorMap& theirs) {
  const auto spec = Json::parse(R"({"formwork": 1, "model": {"type": "decoder", "vocab": 24, "width": 16,
      "layers": {"repeat": 2, "pattern": [{"mixer": {"type": "mamba", "d_state": 4}}]}}})");
  auto model = build_model(Spec::from_json(spec, "test"));
  size_t used = 0;
  fill(*model, [&](const std::string& name) {
    ++used;
    return theirs.at(name == "norm.weight" ? "backbone.norm_f.weight" : their_name(name));
  });
  EXPECT_EQ(used + 3, theirs.size());  // beside ids and logits
  return model;
}

TEST(MambaParity, LogitsOfAPassAndOfSteps) {
  const at::NoGradGuard guard;
  const auto theirs = parity_fixture("mamba");
  const auto model = with_their_weights(theirs);
  const auto& ids = theirs.at("ids");
  auto ctx = model->make_context();
  const auto logits = model->forward(ctx, {{"input_ids", ids}}).at("logits");
  ASSERT_GT(theirs.at("logits").abs().max().item<double>(), 1);
  expect_parity("pass", logits, theirs.at("logits"), 1e-4);

  StateOptions options;
  options.batch = ids.size(0);
  auto state = model->make_state(ctx, {}, options);
  std::vector<Tensor> steps;
  for (int64_t t = 0; t < ids.size(1); ++t)
    steps.push_back(model->append(ctx, {{"input_ids", ids.narrow(1, t, 1)}}, state).at("logits"));
  expect_parity("steps", at::cat(steps, 1), theirs.at("stepped_logits"), 1e-4);
}

}  // namespace
}  // namespace formwork
