// Builds a byte decoder from a Spec, trains it on a line of text, saves it, loads it again and continues the
// text.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <formwork/models/model.h>
#include <formwork/models/model_io.h>

#include <cstdio>

using formwork::Tensor;

namespace {

const char* const text = "A transformer is a composition of parts. ";

formwork::Spec small_decoder() {
  return formwork::Spec::from_json(formwork::Json::parse(R"({
      "formwork": 1,
      "model": {
        "type": "decoder", "vocab": 256, "width": 32, "position": "learned",
        "layers": {"repeat": 2, "pattern": [{"mixer":   {"type": "attention", "heads": 4, "kv_heads": 2},
                                             "channel": {"type": "gated_mlp", "hidden": 64}}]}}})"),
                                   "this example");
}

// Bytes as token ids, [1, T].
Tensor encode(const std::string& bytes) {
  std::vector<int64_t> ids(bytes.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<unsigned char>(bytes[i]);
  return at::tensor(ids, at::kLong).unsqueeze(0);
}

// Mean cross-entropy in nats of each byte given those before it.
Tensor loss_of(formwork::Model& model, const Tensor& ids) {
  auto ctx = model.make_context();
  ctx.mode.train = true;
  const auto length = ids.size(1) - 1;
  const auto logits = model.forward(ctx, {{"input_ids", ids.narrow(1, 0, length)}})["logits"];  // [1, T, 256]
  return at::cross_entropy_loss(logits[0], ids[0].narrow(0, 1, length));
}

// Gradient descent by the sign of the momentum (signSGD: Bernstein et al., 2018).
void train(formwork::Model& model, const Tensor& ids, int64_t steps) {
  auto parameters = model.trainable();
  std::vector<Tensor> momenta;
  for (auto& p : parameters) momenta.push_back(at::zeros_like(p.requires_grad_()));
  for (int64_t step = 0; step < steps; ++step) {
    const auto loss = loss_of(model, ids);
    loss.backward();
    const at::NoGradGuard guard;
    const double rate = 0.003 * (1 - static_cast<double>(step) / static_cast<double>(steps));
    for (size_t i = 0; i < parameters.size(); ++i) {
      auto& p = parameters[i];
      p.sub_(rate * momenta[i].mul_(0.9).add_(p.grad(), 0.1).sign());
      p.mutable_grad().reset();
    }
    if (step % 50 == 0 || step + 1 == steps)
      std::printf("step %3ld  loss %.3f nats\n", static_cast<long>(step), loss.item<double>());
  }
}

// The likeliest continuation, one token at a time with a key-value cache.
std::string continue_text(formwork::Model& model, std::string written, size_t bytes) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  auto state = model.make_state(ctx, {}, {});
  auto next = encode(written);
  for (size_t i = 0; i < bytes; ++i) {
    const auto logits = model.append(ctx, {{"input_ids", next}}, state)["logits"];
    next = logits.select(1, -1).argmax(-1, /*keepdim=*/true);  // [1, 1]
    written += static_cast<char>(next.item<int64_t>());
  }
  return written;
}

}  // namespace

int main() {
  const auto model = formwork::build_model(small_decoder(), /*seed=*/1);
  std::printf("%ld parameters\n", static_cast<long>(model->parameter_count()));
  const auto ids = encode(text);
  train(*model, ids, 200);
  formwork::save_model(*model, "example_model");

  const auto loaded = formwork::load_model("example_model");
  const auto written = continue_text(*loaded, "A trans", 20);
  std::printf("%s\n", written.c_str());
  return written == std::string(text).substr(0, written.size()) ? 0 : 1;
}
