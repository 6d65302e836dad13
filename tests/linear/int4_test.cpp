#include "formwork/linear/quantized/int4.h"

#include <gtest/gtest.h>

#include "one_map.h"

namespace formwork {
namespace {

Tensor codes_of(const std::map<std::string, Tensor>& tensors) {
  const auto& packed = tensors.at("codes");
  return at::stack({packed.bitwise_and(15), packed.bitwise_right_shift(4)}, -1).flatten(-2);
}

TEST(Int4, WorkedExample) {
  const auto w = at::tensor({-1.0, -0.8, -0.6, -0.4, 0.0, 0.4, 1.2, 2.0}).to(at::kFloat).view({1, 8});
  const auto tensors = int4_round(w, 8, false).tensors();
  EXPECT_FLOAT_EQ(tensors.at("scale").item<float>(), 0.2f);
  EXPECT_EQ(tensors.at("zero").item<int>(), 5);
  EXPECT_TRUE(at::equal(codes_of(tensors).flatten().to(at::kLong),
                        at::tensor({0, 1, 2, 3, 5, 7, 11, 15}, at::kLong)));
  const auto v = at::tensor({-7, 7, 3, -3, 0, 1, 2, -1}, at::kFloat).view({1, 8});
  EXPECT_TRUE(at::equal(codes_of(int4_round(v, 8, true).tensors()).flatten().to(at::kLong),
                        at::tensor({1, 15, 11, 5, 8, 9, 10, 7}, at::kLong)));
}

TEST(Int4, RoundingErrorIsHalfAStep) {
  at::manual_seed(2);
  const auto w = at::randn({7, 64}).mul_(0.02);
  for (const bool symmetric : {false, true}) {
    OneMap map(64, 7, {{"type", "int4"}, {"group", 32}});
    map.set(int4_round(w, 32, symmetric).tensors());
    const auto error = (map.map->dense() - w).abs().view({7, 2, 32});
    // An asymmetric zero point is itself rounded, which may cost the ends of the range another half step.
    EXPECT_LT((error / map.tensor("scale").unsqueeze(2)).max().item<double>(), symmetric ? 0.5001 : 1.0001);
  }
  EXPECT_EQ(largest(int4_round(at::zeros({2, 8}), 8, true).value()), 0);
}

TEST(Int4, MultipliesByItsDenseForFewRowsAndForMany) {
  at::manual_seed(7);
  const auto w = at::randn({20, 64});
  for (const bool symmetric : {false, true})
    for (const int64_t rows : {0, 3, 5, 40}) {
      OneMap map(64, 20, {{"type", "int4"}, {"group", 32}}, at::kFloat, true);
      map.set(int4_round(w, 32, symmetric).tensors());
      const auto x = at::randn({rows, 64});
      const auto by_graph = map(x);  // the bias asks for a gradient
      const at::NoGradGuard guard;
      const auto reference = at::linear(x, map.map->dense(), map.tensor("bias"));
      EXPECT_LT(largest(map(x) - reference), 1e-4);
      EXPECT_LT(largest(by_graph - reference), 1e-4);
    }
}

// Each group, the short one at the end too, is rounded and multiplied as if it were a matrix of its own.
TEST(Int4, AShortLastGroupIsAGroup) {
  at::manual_seed(9);
  for (const int64_t in : {5, 43, 44})
    for (const bool symmetric : {false, true}) {
      const auto w = at::randn({6, in}), x = at::randn({20, in});
      OneMap map(in, 6, {{"type", "int4"}, {"group", 16}});
      map.set(int4_round(w, 16, symmetric).tensors());
      std::vector<Tensor> values;
      for (const auto& part : w.split(16, 1)) {
        OneMap alone(16, 6, {{"type", "int4"}, {"group", 16}});
        alone.set(int4_round(at::constant_pad_nd(part, {0, 16 - part.size(1)}), 16, symmetric).tensors());
        values.push_back(alone.map->dense().narrow(1, 0, part.size(1)));
      }
      const auto value = at::cat(values, 1);
      EXPECT_TRUE(at::equal(map.map->dense(), value)) << in;
      EXPECT_EQ(map.map->bytes(), 6 * ((in + 1) / 2 + 5 * ((in + 15) / 16))) << in;
      const at::NoGradGuard guard;
      for (const int64_t rows : {1, 4, 20})
        EXPECT_LT(largest(map(x.narrow(0, 0, rows)) - at::linear(x.narrow(0, 0, rows), value)), 1e-5) << in;
      EXPECT_TRUE(map(x.to(at::kBFloat16)).isfinite().all().item<bool>());
    }
}

TEST(Int4, GradientsOfInputsAndBiasPassAShortLastGroup) {
  at::manual_seed(10);
  OneMap map(11, 3, {{"type", "int4"}, {"group", 8}}, at::kDouble, true);
  const auto x = at::randn({4, 11}, at::kDouble).requires_grad_();
  EXPECT_LT(gradient_error(x, [&] { return map(x); }), 1e-8);
  EXPECT_LT(gradient_error(map.tensor("bias"), [&] { return map(x); }), 1e-8);
}

TEST(Int4, RefusesGroupsThatAreNoMultipleOfEight) {
  EXPECT_THROW(OneMap(64, 20, {{"type", "int4"}, {"group", 12}}), Error);
  EXPECT_THROW(int4_round(at::randn({2, 24}), 12, false), Error);
}

TEST(Int4, ReadsItsCodesWhereTheyAreStored) {
  at::manual_seed(8);
  const at::NoGradGuard guard;
  OneMap map(64, 20, {{"type", "int4"}, {"group", 32}});
  map.set(int4_round(at::randn({20, 64}), 32, true).tensors());
  for (const int64_t rows : {2, 20}) {
    const auto x = at::randn({rows, 64});
    const auto before = map(x);
    // Written behind autograd's back: a packed copy would not see it.
    auto* scales = map.tensor("scale").data_ptr<float>();
    for (int64_t i = 0; i < 40; ++i) scales[i] *= 2;
    EXPECT_LT(largest(map(x) - 2 * before), 1e-5 * largest(before));
    auto* codes = map.tensor("codes").data_ptr<uint8_t>();
    for (int64_t i = 0; i < 20 * 32; ++i) codes[i] = 0x88;  // zero 8: every weight is 0
    EXPECT_EQ(largest(map(x)), 0);
    map.set(int4_round(at::randn({20, 64}), 32, true).tensors());
  }
}

}  // namespace
}  // namespace formwork
