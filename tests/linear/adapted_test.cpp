#include <gtest/gtest.h>

#include "one_map.h"

namespace formwork {
namespace {

TEST(Lora, BeginsAsItsBaseAndTrainsOnlyTheUpdate) {
  at::manual_seed(1);
  for (const Json& base : {Json("dense"), Json{{"type", "masked"}}}) {
    OneMap map(8, 6, {{"type", "lora"}, {"rank", 2}, {"alpha", 3.0}, {"base", base}}, at::kDouble, true);
    OneMap plain(8, 6, base, at::kDouble, true);
    for (const auto* param : plain.map->params()) {
      const auto name = param->name.substr(4);
      plain.tensor(name) = map.tensor(name == "bias" ? name : "base." + name);
    }
    const auto x = at::randn({3, 8}, at::kDouble);
    EXPECT_LT(largest(map(x) - plain(x)), 1e-14);
    {
      const at::NoGradGuard guard;
      map.tensor("b").normal_();
    }
    EXPECT_GT(largest(map(x) - plain(x)), 1e-3);
    EXPECT_LT(largest(map(x) - at::linear(x, map.map->dense(), map.tensor("bias"))), 1e-12);
    EXPECT_LT(gradient_error(map.tensor("a"), [&] { return map(x); }), 1e-7);
    EXPECT_LT(gradient_error(map.tensor("b"), [&] { return map(x); }), 1e-7);
    for (const auto& param : map.inventory.params)
      EXPECT_EQ(param.trainable(), param.name == "map.a" || param.name == "map.b") << param.name;
  }
}

TEST(Lora, LearnsOverAnInt8BaseWhoseBytesStay) {
  at::manual_seed(2);
  OneMap map(16, 8, {{"type", "lora"}, {"rank", 4}, {"base", "int8"}});
  const auto codes = map.tensor("base.codes").clone();
  const auto x = at::randn({32, 16}), target = x.matmul(at::randn({16, 8}));
  double first = 0, last = 0;
  for (int step = 0; step < 50; ++step) {
    const auto loss = (map(x) - target).square().mean();
    last = loss.item<double>();
    if (step == 0) first = last;
    const auto grads = torch::autograd::grad({loss}, {map.tensor("a"), map.tensor("b")});
    const at::NoGradGuard guard;
    map.tensor("a").sub_(grads[0] * 0.05);
    map.tensor("b").sub_(grads[1] * 0.05);
  }
  EXPECT_LT(last, 0.8 * first);
  EXPECT_TRUE(at::equal(map.tensor("base.codes"), codes));
}

}  // namespace
}  // namespace formwork
