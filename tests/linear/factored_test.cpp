// Maps made of maps: low-rank pairs, stacked segments, and convolutions in two steps.
#include <gtest/gtest.h>

#include "formwork/linear/conv/convolution.h"
#include "formwork/linear/nested.h"
#include "one_map.h"

namespace formwork {
namespace {

int64_t numbers(const LinearMap& map) {
  int64_t total = 0;
  for (const auto* param : map.params()) total += param->value.numel();
  return total;
}

TEST(LowRank, HasThePublishedNumberOfParameters) {
  OneMap one(20, 12, {{"type", "low_rank"}, {"rank", 3}}, at::kFloat, /*bias=*/true);
  EXPECT_EQ(numbers(*one.map), 3 * (20 + 12) + 12);
  EXPECT_EQ(one.map->flops(), 2.0 * 3 * (20 + 12));
}

TEST(LowRank, GradientsOfBothFactorsEqualFiniteDifferences) {
  at::manual_seed(1);
  OneMap one(5, 4, {{"type", "low_rank"}, {"rank", 2}}, at::kDouble, true);
  const auto x = at::randn({3, 5}, at::kDouble);
  for (const auto* name : {"a.weight", "b.weight", "bias"})
    EXPECT_LT(gradient_error(one.tensor(name), [&] { return one(x).square(); }), 1e-6) << name;
}

TEST(LowRank, AFactorIsKeptAsTheTableSays) {
  Inventory inventory;
  inventory.dtype = at::kDouble;
  inventory.spec.linear = {{"map", {{"type", "low_rank"}, {"rank", 4}}},
                           {"map.b", {{"type", "low_rank"}, {"rank", 2}}}};
  Build build(inventory, "", {}, {});
  LinearNeed need;
  need.in = build.global_axis("in", 6), need.out = build.global_axis("out", 7);
  const auto map = make_linear(build, "map", need);
  const auto of = [&](const char* name) { return inventory.by_name.at(name)->value; };
  const auto product = of("map.b.b.weight").matmul(of("map.b.a.weight")).matmul(of("map.a.weight"));
  EXPECT_LT(largest(map->dense() - product), 1e-14);
  ASSERT_EQ(inventory.maps.size(), 5u);
  for (const auto* inner : inventory.maps)
    EXPECT_EQ(enclosing(inventory.maps, *inner), inner == map.get() ? nullptr : map.get()) << inner->path();
}

TEST(Stacked, SegmentsAreTheRowsOfOneMap) {
  at::manual_seed(2);
  Inventory inventory;
  inventory.dtype = at::kDouble;
  inventory.spec.linear = {{"map", "stacked"}, {"map.1", {{"type", "low_rank"}, {"rank", 2}}}};
  Build build(inventory, "", {}, {});
  LinearNeed need;
  need.role = Role::qkv, need.bias = true, need.in = build.global_axis("in", 5);
  const Axis q = build.global_axis("q", 6), k = build.global_axis("k", 3);
  need.out = Dim::concat({{q}, {k}, {k}});
  const auto map = make_linear(build, "map", need);
  inventory.by_name.at("map.bias")->value.detach().normal_();
  const auto x = at::randn({2, 5}, at::kDouble);
  Context ctx;
  const auto y = map->forward(ctx, x);
  const auto bias = inventory.by_name.at("map.bias")->value;
  EXPECT_LT(largest(y - at::linear(x, map->dense(), bias)), 1e-14);
  for (const auto* inner : inventory.maps)
    if (inner->path() == "map.1") {
      EXPECT_EQ(role_name(inner->role()), std::string("key"));
      EXPECT_LT(largest(y.narrow(1, 6, 3) -
                        at::linear(x, const_cast<LinearMap*>(inner)->dense(), bias.narrow(0, 6, 3))),
                1e-14);
    }
  EXPECT_EQ(map->flops(), 2.0 * (5 * 6 + 2 * (5 + 3) + 5 * 3));
}

struct OneConvolution {
  Inventory inventory;
  std::unique_ptr<Convolution> map;

  OneConvolution(int64_t in, int64_t out, const Window& window, const Json& representation = "conv",
                 bool bias = true) {
    inventory.dtype = at::kDouble;
    inventory.spec.linear["map"] = representation;
    Build build(inventory, "", {}, {});
    LinearNeed need;
    need.role = Role::conv, need.bias = bias;
    need.in = build.global_axis("in", in), need.out = build.global_axis("out", out);
    map = make_convolution(build, "map", need, window);
  }
  Tensor& tensor(const std::string& name) { return inventory.by_name.at("map." + name)->value; }
  Tensor operator()(const Tensor& x) {
    Context ctx;
    return map->forward(ctx, x);
  }
};

// Windows over one, two and three token dimensions.
std::vector<Window> windows() {
  return {{{3}, {2}, {1}, {2}, 2}, {{3, 2}, {1, 2}, {1, 0}, {}, 2}, {{2, 1, 2}, {}, {}, {}, 1}};
}
Tensor input_for(const Window& window) {
  at::manual_seed(3);
  std::vector<int64_t> shape = {2};
  for (size_t i = 0; i < window.kernel.size(); ++i) shape.push_back(6 - static_cast<int64_t>(i));
  shape.push_back(4);
  return at::randn(shape, at::kDouble);
}

// The definition, place by place.
Tensor by_definition(const Tensor& x, const Tensor& w, const Tensor& bias, const Window& window) {
  auto padded = x;
  const auto dims = static_cast<int64_t>(window.kernel.size());
  const auto at_or = [](const std::vector<int64_t>& list, int64_t i, int64_t otherwise) {
    return list.empty() ? otherwise : list[static_cast<size_t>(i)];
  };
  std::vector<int64_t> pads = {0, 0};
  for (int64_t d = dims - 1; d >= 0; --d)
    for (int side = 0; side < 2; ++side) pads.push_back(at_or(window.padding, d, 0));
  padded = at::constant_pad_nd(x, pads);
  const int64_t per_in = x.size(-1) / window.groups, per_out = w.size(0) / window.groups;
  Tensor sum;
  const int64_t places = w[0][0].numel();
  for (int64_t place = 0; place < places; ++place) {
    auto piece = padded;
    int64_t rest = place;
    std::vector<int64_t> at(static_cast<size_t>(dims));
    for (int64_t d = dims - 1; d >= 0; --d) {
      const int64_t width = window.kernel[static_cast<size_t>(d)];
      at[static_cast<size_t>(d)] = rest % width, rest /= width;
    }
    for (int64_t d = 0; d < dims; ++d) {
      const int64_t dilation = at_or(window.dilation, d, 1), stride = at_or(window.stride, d, 1);
      const int64_t span = dilation * (window.kernel[static_cast<size_t>(d)] - 1);
      const int64_t count = (padded.size(d + 1) - span - 1) / stride + 1;
      piece = piece.slice(d + 1, at[static_cast<size_t>(d)] * dilation,
                          at[static_cast<size_t>(d)] * dilation + (count - 1) * stride + 1, stride);
    }
    std::vector<Tensor> groups;
    for (int64_t g = 0; g < window.groups; ++g)
      groups.push_back(piece.narrow(-1, g * per_in, per_in)
                           .matmul(w.flatten(2).select(2, place).narrow(0, g * per_out, per_out).t()));
    const auto term = at::cat(groups, -1);
    sum = sum.defined() ? sum + term : term;
  }
  return sum + bias;
}

TEST(Convolution, FollowsItsDefinition) {
  for (const auto& window : windows()) {
    OneConvolution one(4, 6, window);
    const auto x = input_for(window);
    one.tensor("bias").detach().normal_();
    EXPECT_LT(largest(one(x) - by_definition(x, one.tensor("weight"), one.tensor("bias"), window)), 1e-12);
    EXPECT_EQ(one.map->flops(), 2.0 * static_cast<double>(one.tensor("weight").numel()));
  }
}

TEST(Convolution, ThinPairWithAnIdentityIsTheConvolution) {
  for (const auto& window : windows()) {
    OneConvolution full(4, 6, window), thin(4, 6, window, {{"type", "ced"}, {"rank", 6}});
    const at::NoGradGuard guard;
    thin.tensor("a").copy_(full.tensor("weight"));
    thin.tensor("b").copy_(at::eye(6, at::kDouble));
    thin.tensor("bias").copy_(full.tensor("bias").normal_());
    const auto x = input_for(window);
    EXPECT_LT(largest(full(x) - thin(x)), 1e-12);
    EXPECT_LT(largest(thin.map->kernel() - full.map->kernel()), 1e-14);
  }
}

TEST(Convolution, GradientsOfBothFactorsEqualFiniteDifferences) {
  const Window window{{3}, {}, {1}, {}, 2};
  OneConvolution one(4, 6, window, {{"type", "ced"}, {"rank", 2}});
  auto x = input_for(window).narrow(1, 0, 3).contiguous().set_requires_grad(true);
  for (const auto* name : {"a", "b", "bias"})
    EXPECT_LT(gradient_error(one.tensor(name), [&] { return one(x).square(); }), 1e-6) << name;
  EXPECT_LT(gradient_error(x, [&] { return one(x).square(); }), 1e-6);
}

TEST(Convolution, RefusesWhatDoesNotFit) {
  EXPECT_THROW(OneConvolution(4, 6, {{3}, {}, {}, {}, 4}), Error);      // groups
  EXPECT_THROW(OneConvolution(4, 6, {{3}, {0}, {}, {}, 1}), Error);     // stride
  EXPECT_THROW(OneConvolution(4, 6, {{3}, {}, {1, 1}, {}, 1}), Error);  // padding
  EXPECT_THROW(OneConvolution(4, 6, {{}, {}, {}, {}, 1}), Error);       // no window
  EXPECT_THROW(OneConvolution(4, 6, {{3}, {}, {}, {}, 2}, {{"type", "ced"}, {"rank", 3}}), Error);
  EXPECT_THROW(OneConvolution(4, 6, {{3}, {}, {}, {}, 1}, {{"type", "low_rank"}, {"rank", 3}}), Error);
  OneConvolution one(4, 6, {{3}, {}, {}, {}, 1});
  EXPECT_THROW(one(at::randn({2, 3, 3, 4}, at::kDouble)), Error);  // two token dimensions
  Context ctx;
  EXPECT_THROW(one.map->dense(ctx), Error);
}

}  // namespace
}  // namespace formwork
