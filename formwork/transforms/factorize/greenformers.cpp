// Greenformers: Improving Computation and Memory Efficiency in Transformer Models via Low-Rank Approximation
// (Cahyawijaya, 2021). A linear map W [out, in] becomes B A, A [r, in], B [out, r] (LED), a convolution one
// to r channels and one of width 1 (CED). Below 1, `rank` is a share of the rank that saves nothing,
//
//   r_max = floor(in out / (in + out)),   of a convolution of g groups: with out / g for out
//
// The bias stays, at the second map. The original is never changed.
#include <set>

#include "formwork/linear/conv/convolution.h"
#include "formwork/transforms/factorize/solvers.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

class Greenformers final : public Transform {
 public:
  struct Options {
    double rank = 0.5;
    std::string solver = "random", balance = "first";
    int64_t num_iter = 10;
    Json submodules = Json::array();
    bool fact_led_unit = false, factor_embeddings = false, factor_head = false;
    bool allow_full = false, strict = false;
    void describe(Fields& f) {
      f.number("rank", rank, "rank of every map; below 1: a share of the rank that saves nothing", 1e-9, 1e9);
      f.choice("solver", solver, solver_names(),
               "how the factors are found; random forgets the weights and is for training from there");
      f.integer("num_iter", num_iter, "svd: power steps; nmf, snmf: updates", 0, 100000);
      f.choice("balance", balance, {"first", "split", "last"},
               "svd: the factor that holds the singular values; split trains best");
      f.json("submodules", submodules, "paths of parts (or patterns) to which factorizing is restricted");
      f.flag("fact_led_unit", fact_led_unit, "factorize the factors of low-rank maps again");
      f.flag("factor_embeddings", factor_embeddings, "the embedding too");
      f.flag("factor_head", factor_head, "the maps of the head too");
      f.flag("allow_full", allow_full, "factorize even where nothing is saved (exactness checks)");
      f.flag("strict", strict, "a rank that saves nothing is an error instead of a map that stays dense");
    }
  };
  explicit Greenformers(const Options& options);
  bool reads_data() const override { return false; }
  std::vector<Json> budgets() const override {
    std::vector<Json> list;
    for (const double rank : {0.75, 0.5, 0.25}) list.push_back({{"rank", rank}, {"solver", "svd"}});
    return list;
  }
  std::optional<Budget> budget(const Model& before, const TransformResult& made) const override {
    if (options_.rank >= 1) return std::nullopt;
    const double kept = block_size(before, *made.model).bytes / block_size(before, before).bytes;
    return Budget{"share of block weights kept", options_.rank, kept};
  }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration& data) override;

 private:
  void check_submodules(const Model& model) const;
  bool is_chosen(const std::string& path) const;
  Stays why_left(const Model& model, const LinearMap& map) const;
  int64_t rank_of(const LinearMap& map, int64_t most, int64_t full, int64_t groups) const;
  std::string saves_nothing(int64_t most) const;
  Replacement factorize(LinearMap& map) const;
  Replacement factorize(Convolution& map) const;
  Replacement replaced(const char* type, int64_t rank, const Factors& factors, const Tensor& weight,
                       double error) const;
  Options options_;
};

Greenformers::Greenformers(const Options& options) : options_(options) {
  if (options.rank >= 1 && options.rank != std::floor(options.rank))
    fail("greenformers: rank {} is neither a whole number nor a share below 1", options.rank);
  if (!options.submodules.is_array())
    fail("greenformers: option 'submodules' must be a list of paths, found {}", options.submodules.dump());
  for (const auto& path : options.submodules)
    if (!path.is_string()) fail("greenformers: option 'submodules' holds {}, expected a path", path.dump());
}

// Whether a path is, or lies below, `root`, which may be a pattern.
bool lies_in(const std::string& path, const std::string& root) {
  return matches(root, path) || matches(root + ".*", path);
}

bool Greenformers::is_chosen(const std::string& path) const {
  const auto& roots = options_.submodules;
  return roots.empty() || std::any_of(roots.begin(), roots.end(), [&](const Json& root) {
           return lies_in(path, root.get<std::string>());
         });
}

void Greenformers::check_submodules(const Model& model) const {
  const auto& maps = model.inventory().maps;
  std::set<std::string> parts;  // that have a map in them
  for (const auto* map : maps)
    for (auto path = map->path(); !path.empty();
         path = path.find('.') == std::string::npos ? "" : path.substr(0, path.rfind('.')))
      parts.insert(path);
  for (const auto& root : options_.submodules) {
    const auto name = root.get<std::string>();
    if (std::none_of(maps.begin(), maps.end(), [&](const auto* map) { return lies_in(map->path(), name); }))
      fail_unknown("greenformers: submodule", name, {parts.begin(), parts.end()});
  }
}

// Why a map stays as it is; a map that is compressed in another way is an error.
Stays Greenformers::why_left(const Model& model, const LinearMap& map) const {
  const auto role = map.role();
  if (!is_chosen(map.path())) return {"outside the submodules"};
  if (role == Role::embed && !options_.factor_embeddings) return {"an embedding"};
  if (role == Role::head && !options_.factor_head) return {"a map of the head"};
  if (role == Role::router || role == Role::shortcut || role == Role::transfer)
    return {fmt::format("a map of role '{}' stays as it is", role_name(role))};
  for (const auto& [copy, original] : model.inventory().ties)
    if (original.rfind(map.path() + ".", 0) == 0)
      return {fmt::format("shared with '{}': untie it first", copy), true};
  return formwork::why_left(model, map, "greenformers", options_.fact_led_unit);
}

// The rank of a map, a multiple of its groups; 0: it saves nothing.
int64_t Greenformers::rank_of(const LinearMap& map, int64_t most, int64_t full, int64_t groups) const {
  const double asked =
      options_.rank < 1 ? std::floor(options_.rank * static_cast<double>(most)) : options_.rank;
  const int64_t rank = (static_cast<int64_t>(asked) + groups - 1) / groups * groups;
  if (options_.allow_full) return std::min(rank, full);
  if (rank > 0 && rank < most) return rank;
  if (options_.strict)
    fail("greenformers: '{}': rank {} saves nothing: it must be from 1 to {}", map.path(), rank, most - 1);
  return 0;
}

Replacement Greenformers::replaced(const char* type, int64_t rank, const Factors& factors,
                                   const Tensor& weight, double error) const {
  Replacement result;
  result.tensors = {{type == std::string("ced") ? "a" : "a.weight", factors.a.to(weight.scalar_type())},
                    {type == std::string("ced") ? "b" : "b.weight", factors.b.to(weight.scalar_type())}};
  result.representation = PartSpec(type);
  result.representation->options = {{"rank", rank}};
  result.row = {{"rank", rank}, {"error", error}, {"relative_error", error / weight.norm().item<double>()}};
  return result;
}

std::string Greenformers::saves_nothing(int64_t most) const {
  return fmt::format("rank {:g} saves nothing: expected 1 to {}, or a greater share below 1", options_.rank,
                     most - 1);
}

// One matrix, or each of a bank.
Replacement Greenformers::factorize(LinearMap& map) const {
  const int64_t most = map.in() * map.out() / (map.in() + map.out());
  const int64_t rank = rank_of(map, most, std::min(map.in(), map.out()), 1);
  if (rank == 0) return Replacement::leave(saves_nothing(most));
  const auto weight = finite_weight(map), wide = weight.to(at::kDouble);
  const SolverOptions solver{options_.solver, options_.balance, options_.num_iter};
  if (map.banks() == 0) {
    const auto made = find_factors(wide, rank, solver, map.path());
    return replaced("low_rank", rank, made, weight, (wide - made.b.matmul(made.a)).norm().item<double>());
  }
  std::vector<Tensor> a, b;
  for (int64_t bank = 0; bank < map.banks(); ++bank) {
    const auto made = find_factors(wide[bank], rank, solver, fmt::format("{}.{}", map.path(), bank));
    a.push_back(made.a), b.push_back(made.b);
  }
  const Factors made{at::stack(a), at::stack(b)};
  return replaced("low_rank", rank, made, weight, (wide - made.b.matmul(made.a)).norm().item<double>());
}

// Group by group: one factorization over all of them would mix channels that must not see each other.
Replacement Greenformers::factorize(Convolution& map) const {
  const int64_t groups = map.window().groups, share = map.out() / groups;
  const int64_t most = map.in() * share / (map.in() + share);
  const int64_t rank = rank_of(map, most, groups * std::min(share, map.fan_in()), groups);
  if (rank == 0) return Replacement::leave(saves_nothing(most));
  const auto kernel = map.kernel(), wide = kernel.flatten(1).to(at::kDouble);  // [out, in / groups * K]
  if (!wide.isfinite().all().item<bool>()) fail("'{}': the kernel is not finite", map.path());
  std::vector<Tensor> a, b;
  double square = 0;
  for (int64_t group = 0; group < groups; ++group) {
    const auto part = wide.narrow(0, group * share, share);
    const auto made =
        find_factors(part, rank / groups, {options_.solver, options_.balance, options_.num_iter},
                     fmt::format("{}.{}", map.path(), group));
    a.push_back(made.a), b.push_back(made.b);
    square += (part - made.b.matmul(made.a)).square().sum().item<double>();
  }
  const Factors made{at::cat(a).view(map.kernel_shape(rank)), at::block_diag(b)};
  return replaced("ced", rank, made, kernel, std::sqrt(square));
}

TransformResult Greenformers::apply(const std::shared_ptr<Model>& model, const Calibration&) {
  check_submodules(*model);
  const auto& maps = model->inventory().maps;
  auto result = replace_maps(model, maps, "greenformers", options_json(options_), [&](LinearMap& map) {
    if (const auto stays = why_left(*model, map); !stays.reason.empty()) return Replacement::skip(stays);
    auto* convolution = dynamic_cast<Convolution*>(&map);
    return convolution ? factorize(*convolution) : factorize(map);
  });
  if (options_.solver == "random")
    result.report["warnings"].push_back(
        "solver 'random' forgets the weights: train the result, or choose svd");
  return result;
}

FORMWORK_PART(Transform, Greenformers, "greenformers", "two thin matrices for each map, by a solver");

}  // namespace
}  // namespace formwork
