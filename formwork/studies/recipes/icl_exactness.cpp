#include "formwork/studies/recipes/icl_exactness.h"

#include "formwork/explain/incontext/learner.h"
#include "formwork/studies/incontext/linear_constructions.h"

namespace formwork {
namespace {

constexpr int64_t kRows = 32;

Tensor answers(Model& model, const Tensor& tokens) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  return model.forward(ctx, {{"input_features", tokens}}).at("predictions").select(1, -1);
}

double largest(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

// n + 1 examples a row, the last of which is asked.
Examples draw(int64_t d, int64_t n, uint64_t seed) {
  LinearProblems problems;
  problems.d = d, problems.n_max = n + 1;
  return draw_examples(problems, seed, 0, kRows);
}

// [w . x_q, w] of each row.
Tensor expected(const Tensor& w, const Tensor& asked) { return at::cat({(w * asked).sum(1, true), w}, 1); }

ConstructionError error_of(const LinearConstruction& made, const Examples& examples, const Tensor& w) {
  auto given = examples;
  given.y = given.y.narrow(1, 0, given.known() - 1);
  const auto asked = examples.after(given.known());
  return {largest(answers(*made.model, interleave(given)), expected(w, asked)), made.layers, made.channels};
}

}  // namespace

double product_error(double c, double range, const std::string& activation) {
  ConstructOptions options;
  options.features = 2, options.c = c, options.activation = activation;
  Construction program(options);
  const auto product = program.block(1), in = program.input();
  program.mul(0, in.part(0, 1), in.part(1, 1), product, 1, 1, 1);
  constexpr int64_t kPoints = 41;
  const auto line = at::linspace(-range, range, kPoints, at::kDouble);
  const auto pairs = at::cartesian_prod({line, line});
  return largest(answers(*program.model(product), pairs.unsqueeze(1)),
                 (pairs.select(1, 0) * pairs.select(1, 1)).unsqueeze(1));
}

double matrix_vector_error(int64_t d, double c, uint64_t seed) {
  ConstructOptions options;
  options.features = d * d + d, options.c = c;
  Construction program(options);
  const auto product = program.block(d), in = program.input();
  program.mul(0, in.part(0, d * d), in.part(d * d, d), product, d, d, 1);
  const auto numbers = draw(options.features, 1, seed).after(0);
  const auto matrix = numbers.narrow(1, 0, d * d).view({-1, d, d});
  const auto vector = numbers.narrow(1, d * d, d).unsqueeze(-1);
  return largest(answers(*program.model(product), numbers.unsqueeze(1)), matrix.matmul(vector).squeeze(-1));
}

ConstructionError descent_error(int64_t d, double c, uint64_t seed) {
  constexpr double kAlpha = 0.1;
  LinearConstructOptions options;
  options.d = d, options.c = c;
  const auto examples = draw(d, 1, seed);
  const auto w = draw(d, 1, seed + 1).w[0];
  std::vector<Tensor> stepped;
  for (int64_t row = 0; row < kRows; ++row)
    stepped.push_back(descent_step(w, examples.x[row][0], examples.y[row][0], kAlpha, options.lambda));
  return error_of(construct_descent(options, w, kAlpha), examples, at::stack(stepped));
}

ConstructionError ridge_error(int64_t d, int64_t n, double c, uint64_t seed) {
  LinearConstructOptions options;
  options.d = d, options.examples = n, options.c = c, options.lambda = 1;
  const auto examples = draw(d, n, seed);
  const auto learner = Registry<Learner>::make({"ridge", {{"lambda", options.lambda}}});
  const auto w = dynamic_cast<const LinearLearner&>(*learner).weights(examples.first(n));
  return error_of(construct_ridge(options), examples, w);
}

double chain_error(int64_t d, int64_t n, double lambda, uint64_t seed) {
  const auto known = draw(d, n, seed).first(n);
  const auto learner = Registry<Learner>::make({"ridge", {{"lambda", lambda}}});
  const auto w = dynamic_cast<const LinearLearner&>(*learner).weights(known);
  return largest(sherman_morrison(known.x, known.y, lambda), w);
}

}  // namespace formwork
