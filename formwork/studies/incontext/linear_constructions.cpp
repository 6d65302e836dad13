#include "formwork/studies/incontext/linear_constructions.h"

namespace formwork {
namespace {

Tensor eye(int64_t n, double factor = 1) { return factor * at::eye(n, at::kDouble); }

// Where the examples lie: y of example i, from 0, is token 2 i + 1.
struct Rows {
  Rows(const LinearConstructOptions& options, Construction& program)
      : examples(options.examples),
        program(program),
        y(program.input().part(0, 1)),
        x(program.input().part(1, options.d)),
        own_x(program.block(options.d)) {}

  int64_t token(int64_t example) const { return 2 * example + 1; }
  int64_t question() const { return 2 * examples; }
  // Token y_i takes x_i beside it, and `state` of the example before.
  void gather(int64_t example, Block state) const {
    program.mov(reads(token(example), token(example) - 1), x, own_x);
    if (example > 0) program.mov(reads(token(example), token(example) - 2), state, state);
  }
  void hand_over(Block state) const { program.mov(reads(question(), question() - 1), state, state); }

  int64_t examples;
  Construction& program;
  Block y, x, own_x;
};

Construction program_of(const LinearConstructOptions& options) {
  ConstructOptions construct;
  construct.features = options.d + 1, construct.context = 2 * options.examples + 1, construct.c = options.c;
  return Construction(construct);
}

LinearConstruction finished(const Construction& program, Block answer) {
  return {program.model(answer), program.layers(), program.channels()};
}

}  // namespace

LinearConstruction construct_descent(const LinearConstructOptions& options, const Tensor& w0, double alpha) {
  if (options.lambda < 0) fail("construct_descent: expected lambda >= 0, found {:g}", options.lambda);
  const int64_t d = options.d;
  Construction program = program_of(options);
  const Rows rows(options, program);
  const Block answer = program.block(1 + d, at::cat({at::zeros({1}, at::kDouble), w0.to(at::kDouble)}));
  const Block prediction = answer.part(0, 1), w = answer.part(1, d);
  const Block residual = program.block(1), gradient = program.block(d);
  for (int64_t i = 0; i < options.examples; ++i) {
    const int64_t t = rows.token(i);
    rows.gather(i, w);
    program.mul(t, w, rows.own_x, residual, 1, d, 1);
    program.aff(t, {{eye(1), residual}, {eye(1, -1), rows.y}}, residual);
    program.mul(t, rows.own_x, residual, gradient, d, 1, 1);
    program.aff(t, {{eye(d, 1 - 2 * alpha * options.lambda), w}, {eye(d, -2 * alpha), gradient}}, w);
  }
  rows.hand_over(w);
  program.mul(rows.question(), w, rows.x, prediction, 1, d, 1);
  return finished(program, answer);
}

LinearConstruction construct_ridge(const LinearConstructOptions& options) {
  if (!(options.lambda > 0)) fail("construct_ridge: expected lambda > 0, found {:g}", options.lambda);
  const int64_t d = options.d;
  Construction program = program_of(options);
  const Rows rows(options, program);
  // The inverse and X^T y go from example to example together.
  const auto start = at::cat({eye(d, 1 / options.lambda).reshape({-1}), at::zeros({d}, at::kDouble)});
  const Block state = program.block(d * d + d, start);
  const Block inverse = state.part(0, d * d), moment = state.part(d * d, d);
  const Block u = program.block(d), v = program.block(d), scale = program.block(1),
              change = program.block(d * d);
  for (int64_t i = 0; i < options.examples; ++i) {
    const int64_t t = rows.token(i);
    rows.gather(i, state);
    program.mul(t, inverse, rows.own_x, u, d, d, 1);
    program.mul(t, rows.own_x, u, scale, 1, d, 1);
    program.aff(t, {{eye(1), scale}}, scale, at::ones({1}, at::kDouble));
    program.div(t, u, scale, v, /*positive=*/true);
    program.mul(t, u, v, change, d, 1, d);
    program.aff(t, {{eye(d * d), inverse}, {eye(d * d, -1), change}}, inverse);
    program.mul(t, rows.own_x, rows.y, u, d, 1, 1);
    program.aff(t, {{eye(d), moment}, {eye(d), u}}, moment);
  }
  rows.hand_over(state);
  const Block answer = program.block(1 + d);
  program.mul(rows.question(), inverse, moment, answer.part(1, d), d, d, 1);
  program.mul(rows.question(), answer.part(1, d), rows.x, answer.part(0, 1), 1, d, 1);
  return finished(program, answer);
}

Tensor descent_step(const Tensor& w, const Tensor& x, const Tensor& y, double alpha, double lambda) {
  return w - 2 * alpha * (x * w.dot(x) - y * x + lambda * w);
}

Tensor sherman_morrison(const Tensor& x, const Tensor& y, double lambda) {
  const int64_t d = x.size(2);
  auto inverse = (at::eye(d, x.options()) / lambda).expand({x.size(0), d, d});
  auto moment = at::zeros({x.size(0), d, 1}, x.options());
  for (int64_t i = 0; i < x.size(1); ++i) {
    const auto column = x.select(1, i).unsqueeze(-1);
    const auto u = inverse.matmul(column);
    inverse = inverse - u.matmul(u.transpose(1, 2)) / (1 + column.transpose(1, 2).matmul(u));
    moment = moment + column * y.select(1, i).view({-1, 1, 1});
  }
  return inverse.matmul(moment).squeeze(-1);
}

}  // namespace formwork
