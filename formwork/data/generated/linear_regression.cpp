#include "formwork/data/generated/linear_regression.h"

#include "formwork/core/error.h"
#include "formwork/data/random.h"

namespace formwork {
namespace {

constexpr uint64_t kFixed = 0xf17edULL;  // the stream of the one w of a control

void fill_normal(Random& random, double scale, Tensor to) {
  double* values = to.mutable_data_ptr<double>();
  for (int64_t i = 0; i < to.numel(); ++i) values[i] = scale * random.normal();
}

}  // namespace

Examples draw_examples(const LinearProblems& problems, uint64_t seed, int64_t first, int64_t rows) {
  Examples drawn{at::empty({rows, problems.n_max, problems.d}, at::kDouble),
                 at::empty({rows, problems.n_max}, at::kDouble), at::empty({rows, problems.d}, at::kDouble)};
  for (int64_t row = 0; row < rows; ++row) {
    Random random{seed, static_cast<uint64_t>(first + row)}, fixed{kFixed};
    fill_normal(problems.fixed_w ? fixed : random, problems.tau, drawn.w[row]);
    fill_normal(random, problems.x_scale, drawn.x[row]);
    fill_normal(random, problems.sigma, drawn.y[row]);
  }
  drawn.y += at::einsum("bnd,bd->bn", {drawn.x, drawn.w});
  return drawn;
}

Tensor interleave(const Examples& examples) {
  const int64_t n = examples.x.size(1), m = examples.known();
  auto tokens = at::zeros({examples.x.size(0), n + m, examples.x.size(2) + 1}, examples.x.options());
  tokens.slice(1, 0, std::nullopt, 2).narrow(2, 1, examples.x.size(2)).copy_(examples.x);
  tokens.slice(1, 1, std::nullopt, 2).select(2, 0).copy_(examples.y);
  return tokens;
}

Examples read_examples(const Tensor& tokens) {
  if (tokens.dim() != 3 || tokens.size(1) < 1 || tokens.size(2) < 2)
    fail("examples: expected tokens [B, T, d + 1], found [{}]", fmt::join(tokens.sizes().vec(), ", "));
  const auto all = tokens.to(at::kDouble);
  const auto x = all.slice(1, 0, std::nullopt, 2), y = all.slice(1, 1, std::nullopt, 2);
  if (x.select(2, 0).ne(0).any().item<bool>() || y.narrow(2, 1, y.size(2) - 1).ne(0).any().item<bool>())
    fail("examples: expected tokens [0; x] and [y; 0] in turns; these are other data");
  return {x.narrow(2, 1, x.size(2) - 1).contiguous(), y.select(2, 0).contiguous(), {}};
}

}  // namespace formwork
