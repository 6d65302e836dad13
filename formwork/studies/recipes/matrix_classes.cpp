#include "formwork/studies/recipes/matrix_classes.h"

#include <torch/csrc/autograd/autograd.h>

#include "formwork/core/random.h"

namespace formwork {
namespace {

double relative_error(const Tensor& wanted, const Tensor& found) {
  const auto norm = [](const Tensor& x) { return at::linalg_vector_norm(x, 2, at::IntArrayRef{-2, -1}); };
  return (norm(wanted - found) / norm(wanted)).mean().item<double>();
}

// Minimizes the sum of |wanted - matrix(parameters)|^2 by Adam (Kingma and Ba, 2015) at a rate that falls to
// 0.
Tensor fitted(const Tensor& wanted, std::vector<Tensor> parameters, int64_t steps,
              const std::function<Tensor(const std::vector<Tensor>&)>& matrix) {
  constexpr double kRate = 0.05, kFirst = 0.9, kSecond = 0.99;
  std::vector<Tensor> first, second;
  for (auto& parameter : parameters) {
    parameter.set_requires_grad(true);
    first.push_back(at::zeros_like(parameter)), second.push_back(at::zeros_like(parameter));
  }
  for (int64_t step = 1; step <= steps; ++step) {
    const auto loss = (wanted - matrix(parameters)).square().sum();
    const auto gradients = torch::autograd::grad({loss}, parameters);
    const at::NoGradGuard guard;
    const auto at_step = static_cast<double>(step);
    const double rate = kRate * (1 - (at_step - 1) / static_cast<double>(steps));
    for (size_t i = 0; i < parameters.size(); ++i) {
      first[i].lerp_(gradients[i], 1 - kFirst);
      second[i].mul_(kSecond).addcmul_(gradients[i], gradients[i], 1 - kSecond);
      const auto scale = (second[i] / (1 - std::pow(kSecond, at_step))).sqrt_().add_(1e-8);
      parameters[i].addcdiv_(first[i], scale, -rate / (1 - std::pow(kFirst, at_step)));
    }
  }
  const at::NoGradGuard guard;
  return matrix(parameters);
}

Tensor toeplitz(const Tensor& wanted) {
  const int64_t tokens = wanted.size(-1);
  auto found = at::zeros_like(wanted);
  for (int64_t distance = 0; distance < tokens; ++distance) {
    const auto mean = wanted.diagonal(-distance, -2, -1).mean(-1, true);
    found.diagonal(-distance, -2, -1).copy_(mean.expand({-1, tokens - distance}));
  }
  return found;
}

Tensor of_low_rank(const Tensor& wanted, int64_t rank) {
  const auto [u, s, v] = at::linalg_svd(wanted, false);
  return (u.narrow(-1, 0, rank) * s.narrow(-1, 0, rank).unsqueeze(-2)).matmul(v.narrow(-2, 0, rank));
}

}  // namespace

Json matrix_class_errors(const Tensor& matrices, int64_t states, int64_t steps, uint64_t seed) {
  const auto wanted = matrices.detach().to(at::kDouble);
  const int64_t count = wanted.size(0), tokens = wanted.size(1);
  auto draws = make_stream(seed, "matrix classes");
  const auto random = [&] { return at::randn({count, tokens, states}, draws, wanted.options()) * 0.3; };
  const auto linear = [](const std::vector<Tensor>& p) { return p[0].matmul(p[1].transpose(-1, -2)).tril(); };
  const auto semiseparable = [&](const std::vector<Tensor>& p) {
    const auto sums = at::log_sigmoid(p[2]).cumsum(-1);
    return linear(p) * (sums.unsqueeze(-1) - sums.unsqueeze(-2)).tril().exp();
  };
  const auto decays = at::randn({count, tokens}, draws, wanted.options()) + 2;
  return {{"semiseparable",
           relative_error(wanted, fitted(wanted, {random(), random(), decays}, steps, semiseparable))},
          {"linear attention", relative_error(wanted, fitted(wanted, {random(), random()}, steps, linear))},
          {"low rank", relative_error(wanted, of_low_rank(wanted, states))},
          {"toeplitz", relative_error(wanted, toeplitz(wanted))}};
}

}  // namespace formwork
