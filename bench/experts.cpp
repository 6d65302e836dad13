// How the cost of a mixture grows with the number of its modules while each token takes as many: forward and
// backward of 1,024 tokens 256 wide, 2 active of 8 and of 32, interleaved repeats, the median of each.
#include <chrono>
#include <cstdio>

#include "formwork/core/memory.h"
#include "formwork/models/model.h"

namespace formwork {
namespace {

constexpr int kRepeats = 15;

class Subject {
 public:
  Subject(const std::string& kind, const std::string& part) {
    const auto text = R"({"formwork": 1, "model": {"type": "part", "width": 256, "kind": ")" + kind +
                      R"(", "part": )" + part + "}}";
    model_ = build_model(Spec::from_json(Json::parse(text), "bench"));
    for (auto& value : model_->trainable()) value.mutable_grad() = at::zeros_like(value);
  }

  // Milliseconds of a pass, as in training: gradients are added to what is there.
  double run(const Tensor& x) {
    const auto start = std::chrono::steady_clock::now();
    auto ctx = model_->make_context();
    ctx.mode.train = true;
    auto loss = model_->forward(ctx, {{"x", x}}).at("y").square().mean();
    for (const auto& [name, term] : ctx.auxiliary) loss = loss + term;
    loss.backward();
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  std::shared_ptr<Model> model_;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + kRepeats / 2, values.end());
  return values[kRepeats / 2];
}

void compare(const std::string& label, const std::string& kind, const std::string& eight,
             const std::string& thirty_two) {
  Subject few(kind, eight), many(kind, thirty_two);
  const auto x = at::randn({4, 256, 256});
  std::vector<double> few_times, many_times;
  few.run(x), many.run(x);
  for (int i = 0; i < kRepeats; ++i) {
    few_times.push_back(few.run(x));
    many_times.push_back(many.run(x));
  }
  fmt::print("{:<44} 8: {:8.2f} ms  32: {:8.2f} ms  ratio {:5.2f}\n", label, median(few_times),
             median(many_times), median(many_times) / median(few_times));
}

}  // namespace
}  // namespace formwork

int main() {
  using namespace formwork;
  keep_freed_memory();
  const auto experts = [](int64_t n, bool gated) {
    return fmt::format(R"({{"type": "experts", "experts": {}, "active": 2, "gated": {}}})", n, gated);
  };
  compare("experts, gated", "channels", experts(8, true), experts(32, true));
  compare("experts, not gated", "channels", experts(8, false), experts(32, false));
  const auto modules = [](int64_t n) {
    return fmt::format(R"({{"type": "stick_breaking", "modules": {}, "active": 2, "heads": 4}})", n);
  };
  compare("attention modules", "mixers", modules(8), modules(32));
  const auto block = [](int64_t n) {
    return fmt::format(R"({{"type": "pre", "norm": "layer_norm",
      "mixer": {{"type": "stick_breaking", "modules": {0}, "active": 2, "heads": 4}},
      "channel": {{"type": "experts", "experts": {0}, "active": 2, "gated": false, "gate": "mlp", "renormalize": false,
                  "activation": "gelu_tanh", "balance_loss": "mi", "start": "inverse_fan_in"}}}})",
                       n);
  };
  compare("a block of both (ModuleFormer)", "wiring", block(8), block(32));
  return 0;
}
