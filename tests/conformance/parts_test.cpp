// Promises of every registered part, by trait.
#include <gtest/gtest.h>

#include "conformance/subject.h"
#include "formwork/core/facet.h"
#include "formwork/transforms/edit.h"

namespace formwork::conformance {
namespace {

Tensor random(at::IntArrayRef shape) { return at::randn(shape, at::kDouble); }

class Parts : public testing::TestWithParam<Subject> {
 protected:
  // Builds the subject, or skips what its sample leaves out.
  bool build(const char* suite) {
    if (const auto reason = GetParam().without.find(suite); reason != GetParam().without.end()) return false;
    model_ = make(GetParam().spec);
    return true;
  }
  Model& model() { return *model_; }
  Traits traits() const { return model_->traits(); }
  std::shared_ptr<Model> model_;
};

TEST_P(Parts, GradientsEqualFiniteDifferences) {
  if (!build("gradients")) return;
  auto x = random({2, 4, kWidth}).set_requires_grad(true);
  const auto weight = random(run(model(), record(model(), x)).sizes());
  const auto loss = [&] { return (run(model(), record(model(), x)) * weight).sum(); };
  std::vector<Tensor> inputs = {x};
  for (auto& value : model().trainable()) inputs.push_back(value);
  const auto gradients = torch::autograd::grad({loss()}, inputs, {}, std::nullopt, false, true);
  const at::NoGradGuard guard;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto before = inputs[i].detach().clone(), direction = at::randn_like(before);
    const double step = 1e-6;
    inputs[i].copy_(before + direction * step);
    const double high = loss().item<double>();
    inputs[i].copy_(before - direction * step);
    const double low = loss().item<double>();
    inputs[i].copy_(before);
    const double measured = (high - low) / (2 * step);
    const double exact = gradients[i].defined() ? (gradients[i] * direction).sum().item<double>() : 0;
    EXPECT_NEAR(exact, measured, 1e-5 * (1 + std::abs(measured))) << "input " << i;
  }
}

TEST_P(Parts, SecondGradientsEqualFiniteDifferences) {
  if (!build("second_gradients") || !traits().twice_differentiable) return;
  const auto x = random({1, 3, kWidth}), direction = random({1, 3, kWidth}), probe = random({1, 3, kWidth});
  const auto slope = [&](const Tensor& at) {  // of sum(y^2) in the direction of `probe`
    auto ctx = model().make_context();
    ctx.mode.twice_differentiable = true;
    const auto loss = model().forward(ctx, record(model(), at)).at("y").square().sum();
    return (torch::autograd::grad({loss}, {at}, {}, true, true)[0] * probe).sum();
  };
  auto point = x.clone().set_requires_grad(true);
  const auto second = torch::autograd::grad({slope(point)}, {point})[0];
  const auto beside = [&](double step) {
    return slope((x + direction * step).set_requires_grad(true)).item<double>();
  };
  const double measured = (beside(1e-6) - beside(-1e-6)) / 2e-6;
  EXPECT_NEAR((second * direction).sum().item<double>(), measured, 1e-4 * (1 + std::abs(measured)));
}

TEST_P(Parts, CausalPartsDoNotSeeLaterTokens) {
  if (!build("causality") || !traits().causal) return;
  const at::NoGradGuard guard;
  const auto x = random({2, 6, kWidth});
  const auto y = run(model(), record(model(), x));
  for (const int64_t cut : {1, 4}) {
    auto other = x.clone();
    other.narrow(1, cut, 6 - cut).add_(random({2, 6 - cut, kWidth}));
    const auto z = run(model(), record(model(), other));
    EXPECT_LT(gap(z.narrow(1, 0, cut), y.narrow(1, 0, cut)), 1e-11);
  }
}

TEST_P(Parts, PaddingAndNeighboursChangeNothing) {
  if (!build("padding") || !traits().batch_independent || !traits().length_free) return;
  const at::NoGradGuard guard;
  auto in = record(model(), random({3, 5, kWidth}));
  const auto alone = in;
  in["lengths"] = at::tensor({5, 2, 4}, at::kLong);
  const auto y = run(model(), in);
  for (int64_t b = 0; b < 3; ++b) {
    const int64_t n = in["lengths"][b].item<int64_t>();
    Record one = {{"x", alone.at("x").narrow(0, b, 1).narrow(1, 0, n)}};
    if (alone.count("memory")) one["memory"] = alone.at("memory").narrow(0, b, 1);
    EXPECT_LT(gap(run(model(), one)[0], y[b].narrow(0, 0, n)), 1e-10) << "row " << b;
  }
}

TEST_P(Parts, PackedRowsEqualSeparateRows) {
  if (!build("packing") || !traits().batch_independent || !traits().length_free) return;
  const at::NoGradGuard guard;
  const auto x = random({1, 7, kWidth});
  const auto y = run(model(), {{"x", x}, {"offsets", at::tensor({0, 3, 7}, at::kLong)}});
  EXPECT_LT(gap(run(model(), {{"x", x.narrow(1, 0, 3)}}), y.narrow(1, 0, 3)), 1e-10);
  EXPECT_LT(gap(run(model(), {{"x", x.narrow(1, 3, 4)}}), y.narrow(1, 3, 4)), 1e-10);
}

TEST_P(Parts, AppendsEqualForwardAlsoAfterForkAndRollBack) {
  if (!build("appends") || !traits().causal) return;
  const at::NoGradGuard guard;
  const int64_t tokens = 7;
  const auto in = record(model(), random({2, tokens, kWidth}));
  const auto x = in.at("x"), y = run(model(), in);
  StateOptions options;
  options.batch = 2, options.reversible = 8, options.dtype = at::kDouble;
  auto ctx = model().make_context();
  Record memory = in;
  memory.erase("x");
  auto state = model().make_state(ctx, memory, options);
  const auto take = [&](ModelState& into, const Tensor& rows, int64_t start, int64_t n) {
    const auto piece = x.index_select(0, rows).narrow(1, start, n);
    const auto out = model().append(ctx, {{"x", piece}}, into).at("y");
    EXPECT_LT(gap(out, y.index_select(0, rows).narrow(1, start, n)), 1e-9) << "tokens from " << start;
  };
  const auto both = at::arange(2, at::kLong), swapped = at::tensor({1, 0, 1}, at::kLong);
  take(state, both, 0, 3);
  take(state, both, 3, 1);
  take(state, both, 4, 2);
  auto forked = state.fork(swapped);
  state.roll_back(2);
  take(state, both, 3, 4);
  take(forked, swapped, 6, 1);
  // Rows that take different numbers of tokens.
  auto uneven = model().make_state(ctx, memory, options);
  model().append(ctx, {{"x", x.narrow(1, 0, 3)}, {"lengths", at::tensor({3, 1}, at::kLong)}}, uneven);
  const auto next = at::stack({x[0].narrow(0, 3, 2), x[1].narrow(0, 1, 2)});
  const auto out = model().append(ctx, {{"x", next}}, uneven).at("y");
  EXPECT_LT(gap(out, at::stack({y[0].narrow(0, 3, 2), y[1].narrow(0, 1, 2)})), 1e-9) << "uneven rows";
}

// Facet `matrix`: the mixer is its matrices times its values, finished.
TEST_P(Parts, MatricesTimesValuesAreTheMixer) {
  if (!build("matrix")) return;
  const auto found = model().inventory().parts.find("part");
  auto* facet =
      found == model().inventory().parts.end() ? nullptr : dynamic_cast<MatrixFacet*>(found->second);
  if (!facet || GetParam().spec["model"].contains("memory_width")) return;
  const at::NoGradGuard guard;
  const auto x = random({2, 6, kWidth});
  auto ctx = model().make_context();
  const auto view = facet->matrix(ctx, x);
  EXPECT_EQ(view.weights.size(2), 6);
  EXPECT_EQ(view.weights.size(3), 6);
  EXPECT_LT(gap(view.finish(view.weights.matmul(view.values)), run(model(), {{"x", x}})), 1e-11);
  if (traits().causal) EXPECT_EQ(view.weights.triu(1).abs().max().item<double>(), 0);
}

TEST_P(Parts, SpecsBuildTheSameAgain) {
  if (!build("spec")) return;
  const at::NoGradGuard guard;
  auto again = make(model().spec().to_json());
  const auto in = record(model(), random({1, 4, kWidth}));
  if (traits().deterministic) EXPECT_TRUE(at::equal(run(model(), in), run(*again, in)));
  EXPECT_EQ(again->spec().to_json(), model().spec().to_json());
}

TEST_P(Parts, TapsAreDeliveredAndLeaveTheOutputUnchanged) {
  if (!build("taps") || !traits().deterministic) return;
  const auto in = record(model(), random({2, 4, kWidth}).set_requires_grad(true));
  const auto plain = run(model(), in);
  auto board = model().make_board();
  std::map<std::string, Tensor> seen;
  board.listen("*", [&](Context&, const TapEvent& event, const Tensor& x) {
    auto copy = x.clone();
    if (!seen.count(event.name)) seen[event.name] = copy;
    return copy;
  });
  auto ctx = model().make_context(&board);
  const auto y = model().forward(ctx, in).at("y");
  // A fused kernel gives way to plain operations where something listens inside it: equal up to rounding.
  EXPECT_LT(gap(y, plain), 1e-12);
  for (const auto& name : model().inventory().taps.all()) {
    if (!seen.count(name)) {
      ADD_FAILURE() << "tap '" << name << "' was not delivered";
      continue;
    }
    if (!seen[name].requires_grad()) continue;
    const auto gradient = torch::autograd::grad({y.square().sum()}, {seen[name]}, {}, true, false, true)[0];
    EXPECT_TRUE(gradient.defined()) << "tap '" << name << "' has no gradient";
  }
}

TEST_P(Parts, Bfloat16StaysFinite) {
  if (!build("bfloat16")) return;
  const at::NoGradGuard guard;
  auto half = make(GetParam().spec, at::kBFloat16);
  const auto y = run(*half, record(*half, random({2, 5, kWidth}).to(at::kBFloat16)));
  EXPECT_TRUE(y.isfinite().all().item<bool>());
}

TEST_P(Parts, MixingAlongADimensionMixesEachLine) {
  if (!build("along") || GetParam().spec["model"]["kind"] != "mixers" || !traits().length_free) return;
  const at::NoGradGuard guard;
  auto spec = GetParam().spec;
  spec["model"]["dims"] = {{"height", 2}, {"width", 3}};
  const auto x = random({2, 6, kWidth});
  spec["model"]["part"]["along"] = "width";
  const auto rows = run(*make(spec), {{"x", x}});
  EXPECT_LT(gap(rows.view({4, 3, -1}), run(model(), {{"x", x.view({4, 3, kWidth})}})), 1e-11);
  spec["model"]["part"]["along"] = "height";
  const auto columns = run(*make(spec), {{"x", x}}).view({2, 2, 3, -1}).transpose(1, 2);
  const auto turned = x.view({2, 2, 3, kWidth}).transpose(1, 2).reshape({6, 2, kWidth});
  EXPECT_LT(gap(columns.reshape({6, 2, -1}), run(model(), {{"x", turned}})), 1e-11);
}

TEST_P(Parts, AxesSayTheShapesOfParameters) {
  if (!build("axes")) return;
  for (const auto& param : model().inventory().params) {
    if (!param.value.defined()) continue;
    ASSERT_EQ(static_cast<int64_t>(param.dims.size()), param.value.dim()) << param.name;
    for (size_t i = 0; i < param.dims.size(); ++i)
      EXPECT_EQ(param.dims[i].stored(), param.value.size(static_cast<int64_t>(i))) << param.name;
  }
}

// The stream's own axis is the caller's: x is permuted and y with it.
TEST_P(Parts, PermutingAnAxisThatAllowsItChangesNothing) {
  if (!build("permutation")) return;
  const at::NoGradGuard guard;
  const auto in = record(model(), random({2, 4, kWidth}));
  const auto y = run(model(), in);
  for (const auto& [axis, info] : model().inventory().axes) {
    if (info.group < Group::permute || info.size < 2) continue;
    const auto carried = [&, &name = axis](const Param& param) {
      return std::any_of(param.dims.begin(), param.dims.end(), [&](const Dim& d) { return d.carries(name); });
    };
    const auto& params = model().inventory().params;
    if (std::none_of(params.begin(), params.end(), carried)) continue;
    const auto order = at::arange(info.size, at::kLong).roll(1);
    const auto grouped = [&, &name = axis](const Param& param) {
      return std::any_of(param.dims.begin(), param.dims.end(),
                         [&](const Dim& d) { return d.carries(name) && d.grain > 1; });
    };
    Edit edit(model());
    if (std::any_of(params.begin(), params.end(), grouped)) {
      EXPECT_THROW(edit.select(axis, order), Error) << axis;  // entries of a group only move together
      continue;
    }
    edit.select(axis, order);
    auto given = in;
    if (axis == "residual") given["x"] = in.at("x").index_select(2, order);
    if (axis == "memory") given["memory"] = in.at("memory").index_select(2, order);
    const auto expected = axis == "residual" && y.size(2) == kWidth ? y.index_select(2, order) : y;
    EXPECT_LT(gap(run(*edit.finish(), given), expected), 1e-10) << axis;
  }
}

TEST_P(Parts, RotatingAnAxisThatAllowsItChangesNothing) {
  if (!build("rotation")) return;
  const at::NoGradGuard guard;
  const auto& axes = model().inventory().axes;
  const auto& params = model().inventory().params;
  const auto found = axes.find("residual");
  if (found == axes.end() || found->second.group < Group::orthogonal || params.empty()) return;
  const auto x = random({2, 4, kWidth});
  const auto y = run(model(), record(model(), x));
  const auto basis = std::get<0>(at::linalg_qr(random({kWidth, kWidth})));
  Edit edit(model());
  edit.rotate("residual", basis);
  EXPECT_LT(gap(run(*edit.finish(), record(model(), x.matmul(basis))), y.matmul(basis)), 1e-10);
}

INSTANTIATE_TEST_SUITE_P(Registered, Parts, testing::ValuesIn(subjects()),
                         [](const testing::TestParamInfo<Subject>& info) {
                           std::string name = info.param.label;
                           for (char& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

}  // namespace
}  // namespace formwork::conformance
