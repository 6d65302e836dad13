// Compresses one model by every method there is, at each method's own budgets, and compares bytes and the
// Kullback-Leibler divergence to the original's predictions.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <formwork/transforms/transform.h>

#include <cstdio>

using formwork::Tensor;
using formwork::Transform;

namespace {

std::shared_ptr<formwork::Model> decoder_to_compress() {
  return formwork::build_model(formwork::Spec::from_json(formwork::Json::parse(R"({
      "formwork": 1,
      "model": {
        "type": "decoder", "vocab": 128, "width": 64,
        "layers": {"repeat": 3, "pattern": [{"mixer":   {"type": "attention", "heads": 4},
                                             "channel": {"type": "mlp", "hidden": 256}}]}}})"),
                                                         "this example"),
                               /*seed=*/1);
}

// Logs of the predicted probabilities, [B, T, vocab].
Tensor predict(formwork::Model& model, const formwork::Record& batch) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, batch)["logits"].log_softmax(-1);
}

// Mean over tokens of KL(original || other) in nats.
double divergence(const Tensor& original, const Tensor& other) {
  return (original.exp() * (original - other)).sum(-1).mean().item<double>();
}

}  // namespace

int main() {
  const auto original = decoder_to_compress();
  at::manual_seed(1);
  formwork::Calibration data;
  for (int batch = 0; batch < 4; ++batch)
    data.batches.push_back({{"input_ids", at::randint(128, {4, 32}, at::kLong)}});
  const formwork::Record held_out = {{"input_ids", at::randint(128, {4, 32}, at::kLong)}};
  const auto expected = predict(*original, held_out);

  std::printf("%-20s %-22s %9s %12s\n", "method", "budget", "bytes", "KL (nats)");
  std::printf("%-20s %-22s %9ld %12.2e\n", "original", "", static_cast<long>(original->bytes()), 0.0);
  int compressed = 0;
  for (const auto& name : formwork::Registry<Transform>::names()) {
    for (const auto& budget : formwork::Registry<Transform>::make(name)->budgets()) {
      try {
        const auto result = formwork::Registry<Transform>::make({name, budget})->apply(original, data);
        std::printf("%-20s %-22s %9ld %12.2e\n", name.c_str(), budget.dump().c_str(),
                    static_cast<long>(result.model->bytes()),
                    divergence(expected, predict(*result.model, held_out)));
        ++compressed;
      } catch (const formwork::Error& reason) {
        std::printf("%-20s %-22s %s\n", name.c_str(), budget.dump().c_str(), reason.what());
      }
    }
  }
  return compressed > 0 ? 0 : 1;
}
