// How the cost of the mixers of Mamba and Mamba-2 grows: a training pass (forward and backward) with the
// length of the row, and a step of decoding with its position. Interleaved repeats, the median of each.
#include <chrono>
#include <cstdio>

#include "formwork/core/memory.h"
#include "formwork/models/model.h"

namespace formwork {
namespace {

double milliseconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void train_passes(Model& model) {
  const std::vector<int64_t> lengths = {512, 1024, 2048};
  std::vector<std::vector<double>> times(lengths.size());
  for (int repeat = 0; repeat < 10; ++repeat)
    for (size_t i = 0; i < lengths.size(); ++i) {
      const auto x = at::randn({2, lengths[i], 128});
      const double time = milliseconds([&] {
        auto ctx = model.make_context();
        ctx.mode.train = true;
        model.forward(ctx, {{"x", x}}).at("y").square().mean().backward();
      });
      if (repeat > 0) times[i].push_back(time);
    }
  for (size_t i = 0; i < lengths.size(); ++i)
    fmt::print("training pass, {:5} tokens  {:8.2f} ms{}\n", lengths[i], median(times[i]),
               i ? fmt::format("  {:.2f} x half as many", median(times[i]) / median(times[i - 1])) : "");
}

// Steps from a state that has seen `seen` tokens; each is forgotten again.
double decode_step(Model& model, int64_t seen) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  StateOptions options;
  options.reversible = 1;
  auto state = model.make_state(ctx, {}, options);
  model.append(ctx, {{"x", at::randn({1, seen, 128})}}, state);
  const auto x = at::randn({1, 1, 128});
  std::vector<double> times;
  for (int i = 0; i < 300; ++i)
    times.push_back(milliseconds([&] {
      model.append(ctx, {{"x", x}}, state);
      state.roll_back(1);
    }));
  return median(times);
}

}  // namespace
}  // namespace formwork

int main() {
  using namespace formwork;
  keep_freed_memory();
  auto spec = Json::parse(R"({"formwork": 1, "model": {"type": "part", "kind": "mixers", "width": 128}})");
  for (const char* part : {"mamba", "mamba2"}) {
    fmt::print("{}\n", part);
    spec["model"]["part"] = part;
    auto model = build_model(Spec::from_json(spec, "bench"));
    train_passes(*model);
    const double early = decode_step(*model, 10), late = decode_step(*model, 4000);
    fmt::print("decode step at position 10 {:.4f} ms, at 4000 {:.4f} ms, ratio {:.2f}\n", early, late,
               late / early);
  }
  return 0;
}
