// Greenformers: Improving Computation and Memory Efficiency in Transformer Models via Low-Rank Approximation
// (Cahyawijaya, 2021). W [out, in] becomes B A, A [r, in], B [out, r], which saves for
// r < r_max = floor(in out / (in + out)). Solvers:
//
//   svd     W = U S V, the r largest; `balance` puts S into A (first), B (last) or its root into both (split)
//   random  fresh matrices, for training from there
//   snmf    W ~ B A with A >= 0, by the multiplicative updates of Ding, Li and Jordan (2010)
#include "formwork/core/random.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

struct Factors {
  Tensor a, b;
};

Factors by_svd(const Tensor& weight, int64_t rank, const std::string& balance) {
  const auto [u, s, v] = at::linalg_svd(weight, /*full_matrices=*/false);
  const auto top = s.narrow(0, 0, rank), one = at::ones_like(top);
  const auto left = balance == "first" ? one : balance == "last" ? top : top.sqrt();
  const auto right = balance == "first" ? top : balance == "last" ? one : top.sqrt();
  return {right.unsqueeze(1) * v.narrow(0, 0, rank), u.narrow(1, 0, rank) * left};
}

Factors at_random(const Tensor& weight, int64_t rank, const std::string& name) {
  Factors made{at::empty({rank, weight.size(1)}, weight.options()),
               at::empty({weight.size(0), rank}, weight.options())};
  init::fan_in_uniform().fill(made.a, make_stream(0, name + ".a"));
  init::fan_in_uniform().fill(made.b, make_stream(0, name + ".b"));
  return made;
}

// G = A^T >= 0 [in, r] and F = B [out, r] in turns: F exact for G, then G scaled towards the minimum for F.
Factors by_snmf(const Tensor& weight, int64_t rank, int64_t iterations, const std::string& name) {
  auto stream = make_stream(0, name + ".snmf");
  auto g = at::empty({weight.size(1), rank}, weight.options()).uniform_(0.2, 1.2, stream);
  const auto solve = [&] { return weight.matmul(at::linalg_pinv(g.t())); };
  for (int64_t i = 0; i < iterations; ++i) {
    const auto f = solve();
    const auto cross = weight.t().matmul(f), gram = f.t().matmul(f);
    const auto up = cross.clamp_min(0) + g.matmul((-gram).clamp_min(0));
    const auto down = (-cross).clamp_min(0) + g.matmul(gram.clamp_min(0));
    g = g * (up / down.clamp_min(1e-30)).sqrt();
  }
  return {g.t().contiguous(), solve()};
}

class Greenformers final : public Transform {
 public:
  struct Options {
    double rank = 0.5;
    std::string solver = "svd", balance = "split";
    int64_t num_iter = 10;
    bool allow_full = false, strict = false;
    void describe(Fields& f) {
      f.number("rank", rank, "rank of every map; below 1: a share of the rank that saves nothing", 1e-9, 1e9);
      f.choice("solver", solver, {"svd", "random", "snmf"}, "how the factors are found");
      f.choice("balance", balance, {"first", "split", "last"},
               "svd: the factor that holds the singular values");
      f.integer("num_iter", num_iter, "snmf: iterations", 0, 100000);
      f.flag("allow_full", allow_full, "factorize even where nothing is saved (exactness checks)");
      f.flag("strict", strict, "a rank that saves nothing is an error instead of a map that stays dense");
    }
  };
  explicit Greenformers(const Options& options) : options_(options) {
    if (options.rank >= 1 && options.rank != std::floor(options.rank))
      fail("greenformers: rank {} is neither a whole number nor a share below 1", options.rank);
  }
  bool reads_data() const override { return false; }
  std::vector<Json> budgets() const override { return {{{"rank", 0.75}}, {{"rank", 0.5}}, {{"rank", 0.25}}}; }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    return replace_block_maps(model, "greenformers", options_json(options_),
                              [&](LinearMap& map) { return factorize(map); });
  }

 private:
  Replacement factorize(LinearMap& map) const;
  Options options_;
};

Replacement Greenformers::factorize(LinearMap& map) const {
  const int64_t most = map.in() * map.out() / (map.in() + map.out());
  auto rank =
      static_cast<int64_t>(options_.rank < 1 ? options_.rank * static_cast<double>(most) : options_.rank);
  if (rank == 0)
    return Replacement::skip(fmt::format("{} of rank {} is no rank at all", options_.rank, most));
  if (options_.allow_full) {
    rank = std::min({rank, map.in(), map.out()});
  } else if (rank >= most) {
    const auto reason = fmt::format("rank {} saves nothing: it must be below {}", rank, most);
    if (options_.strict) fail("greenformers: '{}': {}", map.path(), reason);
    return Replacement::skip(reason);
  }
  const auto weight = finite_weight(map);
  const auto wide = weight.to(at::kDouble);
  const auto made = options_.solver == "svd"      ? by_svd(wide, rank, options_.balance)
                    : options_.solver == "random" ? at_random(wide, rank, map.path())
                                                  : by_snmf(wide, rank, options_.num_iter, map.path());
  Replacement result;
  result.tensors = {{"a", made.a.to(weight.scalar_type())}, {"b", made.b.to(weight.scalar_type())}};
  result.representation = PartSpec("low_rank");
  result.representation->options = {{"rank", rank}};
  result.row = {{"rank", rank}, {"error", (wide - made.b.matmul(made.a)).norm().item<double>()}};
  return result;
}

FORMWORK_ENTRY(Transform, Greenformers, "greenformers", "two thin matrices for each map, by a solver");

}  // namespace
}  // namespace formwork
