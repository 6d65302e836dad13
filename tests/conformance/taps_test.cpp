// Taps are delivered, have gradients, and change no bit of the output.
#include "conformance/samples.h"
#include "conformance/suite.h"
#include "formwork/linear/linear_map.h"

namespace formwork::conformance {
namespace {

class Taps : public Suite {
 protected:
  // The outputs with a reader on every tap that `chosen` says.
  Record listen(const Record& in, const std::function<bool(const std::string&)>& chosen,
                std::map<std::string, Tensor>& seen) {
    auto board = model().make_board();
    const auto& names = model().inventory().taps.all();
    for (size_t slot = 0; slot < names.size(); ++slot)
      if (chosen(names[slot]))
        board.listen(static_cast<Slot>(slot), [&](Context&, const TapEvent& event, const Tensor& x) {
          seen.try_emplace(event.name, x);
          return x;
        });
    auto ctx = model().make_context(&board);
    return model().forward(ctx, in);
  }

  // Taps of a map that is looked up and never multiplied by: an embedding that no head shares.
  std::set<std::string> taps_of_tables() {
    std::set<std::string> taps;
    auto& inventory = model().inventory();
    for (const auto* map : inventory.maps) {
      const bool shared = std::any_of(inventory.ties.begin(), inventory.ties.end(),
                                      [&](const auto& tie) { return tie.second == map->path() + ".weight"; });
      if (map->role() != Role::embed || shared) continue;
      taps.insert(inventory.taps.name(map->input_tap()));
      taps.insert(inventory.taps.name(map->output_tap()));
    }
    return taps;
  }
};

TEST_P(Taps, AreDeliveredAndHaveGradients) {
  if (!build("taps")) GTEST_SKIP() << reason();
  auto in = inputs(subject(), 2, 4);
  if (subject().is_part()) in["x"].set_requires_grad(true);
  std::map<std::string, Tensor> seen;
  Tensor sum;
  for (const auto& [name, y] : listen(
           in, [](const std::string&) { return true; }, seen))
    sum = sum.defined() ? sum + y.square().sum() : y.square().sum();
  const auto tables = taps_of_tables();
  for (const auto& name : model().inventory().taps.all()) {
    if (tables.count(name)) {
      EXPECT_FALSE(seen.count(name)) << name;
      continue;
    }
    if (!seen.count(name)) {
      ADD_FAILURE() << "tap '" << name << "' was not delivered";
      continue;
    }
    if (!seen[name].requires_grad()) continue;
    const auto gradient = torch::autograd::grad({sum}, {seen[name]}, {}, true, false, true)[0];
    EXPECT_TRUE(gradient.defined()) << "tap '" << name << "' has no gradient";
  }
}

// In double and in float, whose fused kernels differ, with and without gradients.
TEST_P(Taps, ChangeNoBitOfTheOutput) {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    if (!build("taps", dtype) || !when(traits().deterministic, "not deterministic")) GTEST_SKIP() << reason();
    const auto in = inputs(subject(), 2, 4, dtype);
    for (const bool gradients : {false, true}) {
      const at::AutoGradMode mode(gradients);
      std::map<std::string, Tensor> seen;
      const auto plain = run(model(), in);
      const auto outside = [](const std::string& name) { return !leaves_the_fused_kernel(name); };
      EXPECT_TRUE(at::equal(only(model(), listen(in, outside, seen)), plain)) << c10::toString(dtype);
      const auto inside = only(model(), listen(in, leaves_the_fused_kernel, seen));
      EXPECT_LT(gap(inside, plain), dtype == at::kDouble ? 1e-12 : 1e-4);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registered, Taps, testing::ValuesIn(subjects()), label_of);

}  // namespace
}  // namespace formwork::conformance
