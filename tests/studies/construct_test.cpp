// Models with computed weights: each instruction alone, and the learners that are made of them.
#include "formwork/studies/theory/construct.h"

#include <gtest/gtest.h>

#include "formwork/data/generated/linear_regression.h"
#include "formwork/linear/linear_map.h"
#include "formwork/studies/incontext/linear_constructions.h"
#include "formwork/studies/recipes/icl_exactness.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

Tensor run(const Construction& program, Block answer, const Tensor& tokens) {
  const at::NoGradGuard guard;
  const auto model = program.model(answer);
  auto ctx = model->make_context();
  return model->forward(ctx, {{"input_features", tokens}}).at("predictions");
}

ConstructOptions shape(int64_t features, int64_t context, double c = 1.0 / 1024) {
  ConstructOptions options;
  options.features = features, options.context = context, options.c = c;
  return options;
}

double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

Tensor numbers(at::IntArrayRef sizes, int64_t seed = 1) {
  at::manual_seed(seed);
  return at::randn(sizes, at::kDouble);
}

// The error on [-1, 1]^2 is at most 5e-3 at c = 1/16 and falls to a quarter when c is halved, in both forms
// of GELU.
TEST(Product, ByGeluHasAnErrorOfTheOrderOfCSquared) {
  for (const char* gelu : {"gelu", "gelu_tanh"}) {
    double before = 0;
    for (const double c : {1.0 / 16, 1.0 / 32, 1.0 / 64}) {
      const double error = product_error(c, 1, gelu);
      EXPECT_LE(error, 5e-3);
      if (before > 0) EXPECT_NEAR(before / error, 4, 0.2) << gelu << " " << c;
      before = error;
    }
  }
  EXPECT_NEAR(product_error(1.0 / 16, 3) / product_error(1.0 / 16, 1), 80, 5);
}

TEST(Mul, IsAMatrixProduct) {
  EXPECT_LT(matrix_vector_error(4, 1.0 / 1024, 0), 1e-3);
  Construction program(shape(6 + 6, 1));
  const auto in = program.input(), out = program.block(4);
  program.mul(0, in.part(0, 6), in.part(6, 6), out, 2, 3, 2);
  const auto x = numbers({5, 1, 12});
  const auto product = x.narrow(2, 0, 6).view({5, 2, 3}).matmul(x.narrow(2, 6, 6).view({5, 3, 2}));
  EXPECT_LT(gap(run(program, out, x).view({5, 2, 2}), product), 1e-4);
}

TEST(Mov, CopiesTheBlockOfAnotherTokenAndLeavesAllElse) {
  Construction program(shape(2, 4));
  const auto kept = program.block(2, at::tensor({5.0, -7.0}, at::kDouble)), in = program.input();
  program.mov(reads(3, 1), in, kept);
  const auto x = numbers({3, 4, 2});
  const auto y = run(program, kept, x);
  EXPECT_LT(gap(y.select(1, 3), x.select(1, 1)), 1e-12);
  for (int64_t t = 0; t < 3; ++t)
    EXPECT_LT(gap(y.select(1, t), at::tensor({5.0, -7.0}, at::kDouble)), 1e-12) << t;
  EXPECT_LT(gap(run(program, in, x), x), 1e-12) << "the input stays";
}

// W_o ((W_a / |K| sum_k h_r) op W h_s) for every token with a read set, the others as they were.
TEST(RawInstruction, IsItsFormulaForEveryReadSetAndOperation) {
  const ReadSet earlier_of_its_kind = [](int64_t i) {
    std::vector<int64_t> all;
    for (int64_t k = i - 2; k >= 0; k -= 2) all.push_back(k);
    return all;
  };
  for (const auto op : {Arithmetic::add, Arithmetic::multiply}) {
    Construction program(shape(3, 5));
    const auto start = at::tensor({1.0, 2.0}, at::kDouble);
    const auto in = program.input(), out = program.block(2, start);
    const ReadArithmeticWrite raw{earlier_of_its_kind, in.part(0, 2),      in.part(1, 2),      out,
                                  numbers({4, 2}, 2),  numbers({4, 2}, 3), numbers({2, 4}, 4), op};
    program.raw(raw);
    const auto x = numbers({6, 5, 3});
    auto expected = start.expand({6, 5, 2}).clone();
    for (int64_t i = 2; i < 5; ++i) {
      const auto sources = earlier_of_its_kind(i);
      const auto mean = x.narrow(2, 0, 2).index_select(1, at::tensor(sources, at::kLong)).mean(1);
      const auto u = mean.matmul(raw.w_a.t()), v = x.select(1, i).narrow(1, 1, 2).matmul(raw.w_s.t());
      expected.select(1, i).copy_((op == Arithmetic::add ? u + v : u * v).matmul(raw.w_o.t()));
    }
    EXPECT_LT(gap(run(program, out, x), expected), op == Arithmetic::add ? 1e-12 : 1e-3);
    EXPECT_LT(gap(run(program, in, x), x), 1e-12);
  }
}

TEST(Aff, IsAnAffineCombinationAlsoOfItsOwnBlock) {
  Construction program(shape(3, 2));
  const auto in = program.input(), out = program.block(2, at::tensor({1.0, 2.0}, at::kDouble));
  const auto a = numbers({2, 3}, 2), b = numbers({2, 2}, 3), bias = numbers({2}, 4);
  program.aff(1, {{a, in}, {b, out}}, out, bias);
  const auto x = numbers({4, 2, 3}), start = at::tensor({1.0, 2.0}, at::kDouble);
  const auto y = run(program, out, x);
  EXPECT_LT(gap(y.select(1, 1), x.select(1, 1).matmul(a.t()) + b.matmul(start) + bias), 1e-12);
  EXPECT_LT(gap(y.select(1, 0), start), 1e-12);
}

TEST(Div, DividesByNumbersOfBothSigns) {
  for (const bool positive : {true, false}) {
    Construction program(shape(4, 2, 1.0 / 4096));
    const auto in = program.input(), out = program.block(3);
    program.div(1, in.part(0, 3), in.part(3, 1), out, positive);
    auto x = numbers({50, 2, 4});
    auto by = x.select(2, 3);
    by.copy_(by.sign() * (by.abs() + 0.2));
    if (positive) by.abs_();
    const auto y = run(program, out, x).select(1, 1),
               quotient = x.select(1, 1).narrow(1, 0, 3) / by.narrow(1, 1, 1);
    EXPECT_LT((gap(y, quotient)), positive ? 1e-6 : 1e-4);
    EXPECT_EQ(program.layers(), 3);
    EXPECT_LT(gap(run(program, in, x), x), 1e-9) << "the input stays";
  }
}

TEST(Construction, IsAnOrdinaryDecoderOfDenseMaps) {
  const auto made = construct_descent({}, numbers({4}), 0.1);
  EXPECT_EQ(made.model->spec().model.type, "decoder");
  for (const auto* map : made.model->inventory().maps) EXPECT_EQ(map->type(), "dense") << map->path();
  const auto again = build_model(Spec::from_json(made.model->spec().to_json(), "again"), 0, at::kDouble);
  EXPECT_EQ(again->parameter_count(), made.model->parameter_count());
}

TEST(Construction, RefusesWhatDoesNotFit) {
  Construction program(shape(2, 3));
  const auto in = program.input();
  EXPECT_EQ(error_of([&] { program.mov(reads(1, 2), in, in); }),
            "construct: token 1 reads 2; expected tokens from 0 to itself");
  EXPECT_EQ(error_of([&] { program.aff(3, {}, in); }), "construct: expected a token in [0, 3), found 3");
  EXPECT_EQ(error_of([&] { program.mul(0, in, in, in, 2, 2, 1); }),
            "construct: mul: expected a block of 4 channels, found [3, 5) with 2");
  EXPECT_EQ(error_of([&] {
              program.aff(0, {{at::eye(3, at::kDouble), in}}, in);
            }),
            "construct: term: expected a matrix [2, 2], found [3, 3]");
  EXPECT_NE(error_of([] { Construction(shape(1, 1, 0)); }), "");
  LinearConstructOptions options;
  options.lambda = -1;
  EXPECT_EQ(error_of([&] { construct_descent(options, numbers({4}), 0.1); }),
            "construct_descent: expected lambda >= 0, found -1");
  options.lambda = 0;
  EXPECT_EQ(error_of([&] { construct_ridge(options); }), "construct_ridge: expected lambda > 0, found 0");
}

TEST(DescentConstruction, IsAStepOfGradientDescent) {
  EXPECT_LT(descent_error(4, 1.0 / 1024, 0).error, 1e-3);
  EXPECT_GT(descent_error(4, 1.0 / 64, 0).error, 1e-3) << "at a c this large it is not";
}

// Theorem 1: layers do not depend on d, and channels grow with d.
TEST(DescentConstruction, HasAConstantNumberOfLayersAndChannelsLinearInD) {
  const auto cost = [](int64_t d) {
    LinearConstructOptions options;
    options.d = d;
    return construct_descent(options, at::zeros({d}, at::kDouble), 0.1);
  };
  const auto four = cost(4), eight = cost(8), twelve = cost(12);
  EXPECT_EQ(four.layers, twelve.layers);
  EXPECT_EQ(twelve.channels - eight.channels, eight.channels - four.channels);
}

TEST(DescentConstruction, GoesOnFromExampleToExample) {
  LinearConstructOptions options;
  options.d = 3, options.examples = 3;
  LinearProblems problems;
  problems.d = 3, problems.n_max = 4;
  auto examples = draw_examples(problems, 1, 0, 2);
  const auto w0 = numbers({3});
  const auto made = construct_descent(options, w0, 0.05);
  const at::NoGradGuard guard;
  auto ctx = made.model->make_context();
  const auto y =
      made.model->forward(ctx, {{"input_features", interleave({examples.x, examples.y.narrow(1, 0, 3), {}})}})
          .at("predictions")
          .select(1, -1);
  for (int64_t row = 0; row < 2; ++row) {
    auto w = w0;
    for (int64_t i = 0; i < 3; ++i)
      w = descent_step(w, examples.x[row][i], examples.y[row][i], 0.05, options.lambda);
    EXPECT_LT(gap(y[row].narrow(0, 1, 3), w), 1e-3);
    EXPECT_NEAR(y[row][0].item<double>(), w.dot(examples.x[row][3]).item<double>(), 1e-3);
  }
}

TEST(ShermanMorrison, IsRidgeRegression) {
  EXPECT_LT(chain_error(4, 10, 0.1, 0), 1e-8);
  EXPECT_LT(chain_error(8, 3, 0.5, 0), 1e-8);
}

TEST(RidgeConstruction, IsRidgeRegression) {
  const auto made = ridge_error(3, 4, 1.0 / 65536, 0);
  RecordProperty("error", fmt::format("{:.2g}", made.error));
  EXPECT_LT(made.error, 1e-2);
}

// Theorem 2: a constant number of layers for each example.
TEST(RidgeConstruction, HasAConstantNumberOfLayersForEachExample) {
  const auto layers = [](int64_t n, int64_t d) {
    LinearConstructOptions options;
    options.examples = n, options.d = d;
    return construct_ridge(options).layers;
  };
  EXPECT_EQ(layers(3, 2) - layers(2, 2), layers(4, 2) - layers(3, 2));
  EXPECT_EQ(layers(2, 2), layers(2, 3));
}

}  // namespace
}  // namespace formwork
