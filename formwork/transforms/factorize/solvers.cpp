#include "formwork/transforms/factorize/solvers.h"

#include <map>

#include "formwork/core/error.h"
#include "formwork/core/init.h"
#include "formwork/core/random.h"

namespace formwork {
namespace {

constexpr double kTiny = 1e-30;  // keeps quotients of nonnegative updates finite

// W ~ U diag(s) V^T, U [out, r], V [in, r].
Factors balanced(const Tensor& u, const Tensor& s, const Tensor& v, const std::string& balance) {
  const auto one = at::ones_like(s);
  const auto left = balance == "first" ? one : balance == "last" ? s : s.sqrt();
  const auto right = balance == "first" ? s : balance == "last" ? one : s.sqrt();
  return {right.unsqueeze(1) * v.t(), u * left};
}

Factors exact_svd(const Tensor& weight, int64_t rank, const SolverOptions& options, const std::string&) {
  const auto [u, s, vt] = at::linalg_svd(weight, /*full_matrices=*/false);
  return balanced(u.narrow(1, 0, rank), s.narrow(0, 0, rank), vt.narrow(0, 0, rank).t(), options.balance);
}

Tensor orthonormal(const Tensor& x) { return std::get<0>(at::linalg_qr(x)); }

// On W^T, whose left factor U diag(s) is the map that comes first.
Factors subspace_svd(const Tensor& weight, int64_t rank, const SolverOptions& options,
                     const std::string& name) {
  auto stream = make_stream(0, name + ".svd");
  const auto turned = weight.t();  // [in, out]
  auto basis =
      orthonormal(turned.matmul(at::empty({weight.size(0), rank}, weight.options()).normal_(0, 1, stream)));
  for (int64_t i = 0; i < options.iterations; ++i)
    basis = orthonormal(turned.matmul(orthonormal(weight.matmul(basis))));
  const auto [u, s, vt] = at::linalg_svd(basis.t().matmul(turned), /*full_matrices=*/false);
  return balanced(vt.t(), s, basis.matmul(u), options.balance);
}

Factors at_random(const Tensor& weight, int64_t rank, const SolverOptions&, const std::string& name) {
  Factors made{at::empty({rank, weight.size(1)}, weight.options()),
               at::empty({weight.size(0), rank}, weight.options())};
  init::fan_in_uniform().fill(made.a, make_stream(0, name + ".a"));
  init::fan_in_uniform().fill(made.b, make_stream(0, name + ".b"));
  return made;
}

Tensor positive_start(at::IntArrayRef shape, const Tensor& like, const std::string& name) {
  auto stream = make_stream(0, name);
  return at::empty(shape, like.options()).uniform_(0.2, 1.2, stream);
}

Factors nmf(const Tensor& weight, int64_t rank, const SolverOptions& options, const std::string& name) {
  if (const double low = weight.min().item<double>(); low < 0)
    fail("'{}': nmf needs weights that are not negative, found {:.3g}; snmf takes any", name, low);
  auto a = positive_start({rank, weight.size(1)}, weight, name + ".nmf.a");
  auto b = positive_start({weight.size(0), rank}, weight, name + ".nmf.b");
  for (int64_t i = 0; i < options.iterations; ++i) {
    a = a * b.t().matmul(weight) / b.t().matmul(b).matmul(a).clamp_min(kTiny);
    b = b * weight.matmul(a.t()) / b.matmul(a.matmul(a.t())).clamp_min(kTiny);
  }
  return {a, b};
}

// G = A^T >= 0 [in, r] and F = B [out, r] in turns: F exact for G, then G scaled towards the minimum for F.
Factors semi_nmf(const Tensor& weight, int64_t rank, const SolverOptions& options, const std::string& name) {
  auto g = positive_start({weight.size(1), rank}, weight, name + ".snmf");
  const auto solve = [&] { return weight.matmul(at::linalg_pinv(g.t())); };
  for (int64_t i = 0; i < options.iterations; ++i) {
    const auto f = solve();
    const auto cross = weight.t().matmul(f), gram = f.t().matmul(f);
    const auto up = cross.clamp_min(0) + g.matmul((-gram).clamp_min(0));
    const auto down = (-cross).clamp_min(0) + g.matmul(gram.clamp_min(0));
    g = g * (up / down.clamp_min(kTiny)).sqrt();
  }
  return {g.t().contiguous(), solve()};
}

using Solver = Factors (*)(const Tensor&, int64_t, const SolverOptions&, const std::string&);

const std::map<std::string, Solver>& solvers() {
  static const std::map<std::string, Solver> table = {{"random", at_random},
                                                      {"svd", subspace_svd},
                                                      {"exact_svd", exact_svd},
                                                      {"nmf", nmf},
                                                      {"snmf", semi_nmf}};
  return table;
}

}  // namespace

const std::vector<std::string>& solver_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const auto& [name, solver] : solvers()) list.push_back(name);
    return list;
  }();
  return names;
}

Factors find_factors(const Tensor& weight, int64_t rank, const SolverOptions& options,
                     const std::string& name) {
  const auto found = solvers().find(options.solver);
  if (found == solvers().end()) fail_unknown("solver", options.solver, solver_names());
  if (rank < 1 || rank > std::min(weight.size(0), weight.size(1)))
    fail("'{}': rank {} does not fit a matrix [{}, {}]", name, rank, weight.size(0), weight.size(1));
  return found->second(weight, rank, options, name);
}

}  // namespace formwork
