// How the cost of attention grows with the map: in windows of 7 x 7 tokens, shifted or not, and over the
// whole map (96 channels, 3 heads, one image, forward). Interleaved repeats, the median of each.
#include <chrono>

#include "formwork/core/memory.h"
#include "formwork/models/model.h"

namespace formwork {
namespace {

struct Case {
  std::string name;
  Json mixer;
  int64_t side;
  std::vector<double> times = {};

  double median() {
    const auto middle = times.begin() + static_cast<int64_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
  }
};

std::shared_ptr<Model> block_of(const Case& c) {
  const Json model = {{"type", "part"},
                      {"kind", "wiring"},
                      {"part", {{"type", "pre"}, {"norm", "layer_norm"}, {"mixer", c.mixer}}},
                      {"width", 96},
                      {"causal", false},
                      {"dims", {{"height", c.side}, {"width", c.side}}}};
  return build_model(Spec::from_json({{"formwork", 1}, {"model", model}}, "bench"));
}

void run() {
  const auto windows = [](int64_t shift) {
    return Json{{"type", "window_attention"}, {"heads", 3}, {"shift", shift}};
  };
  const Json global = {{"type", "attention"}, {"heads", 3}, {"bias", true}, {"out_bias", true}};
  std::vector<Case> cases = {{"windows", windows(0), 56}, {"windows", windows(0), 112},
                             {"shifted", windows(3), 56}, {"shifted", windows(3), 112},
                             {"whole map", global, 28},   {"whole map", global, 56}};
  std::vector<std::shared_ptr<Model>> blocks;
  std::vector<Tensor> maps;
  for (const auto& c : cases) {
    blocks.push_back(block_of(c));
    maps.push_back(at::randn({1, c.side * c.side, 96}));
  }
  const at::NoGradGuard guard;
  for (int repeat = 0; repeat < 12; ++repeat)
    for (size_t i = 0; i < cases.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      auto ctx = blocks[i]->make_context();
      blocks[i]->forward(ctx, {{"x", maps[i]}});
      const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
      if (repeat > 0) cases[i].times.push_back(time.count());
    }
  for (size_t i = 0; i < cases.size(); ++i)
    fmt::print("{:10} {:4} x {:3} tokens  {:8.2f} ms{}\n", cases[i].name, cases[i].side, cases[i].side,
               cases[i].median(),
               i % 2 ? fmt::format("  {:.2f} x a quarter", cases[i].median() / cases[i - 1].median()) : "");
}

}  // namespace
}  // namespace formwork

int main() {
  formwork::keep_freed_memory();
  formwork::run();
}
