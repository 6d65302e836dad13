// LoRD: Low Rank Decomposition of Monolingual Code LLMs for One-Shot Compression (Kaushal et al., 2023).
// A map y = W x + b is split by the principal subspace U [O, r] of its outputs:
//
//   A = U^T W,   B = U,   b' = mean + U U^T (b - mean);   mean squared error = sum of the other eigenvalues
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

class Lord final : public Transform {
 public:
  struct Options {
    double ratio = 0.2;
    int64_t rank = 0, align = 1;
    std::string basis = "afm_centred", order = "one_shot";
    bool allow_full = false, strict = false;
    void describe(Fields& f) {
      f.number("ratio", ratio, "share of each map's parameters that is removed", 0, 1);
      f.integer("rank", rank, "rank of every map; 0: from the ratio");
      f.integer("align", align, "ranks are a multiple of this (128 as published for wide models)", 1, 65536);
      f.choice("basis", basis, {"afm_centred", "afm_uncentred", "svd"}, "what the subspace is taken from");
      f.choice("order", order, {"one_shot", "sequential"},
               "all maps from the dense model, or each after those before it");
      f.flag("allow_full", allow_full, "factorize even where nothing is saved (exactness checks)");
      f.flag("strict", strict, "a rank that saves nothing is an error instead of a map that stays dense");
    }
  };
  explicit Lord(const Options& options) : options_(options) {}
  std::vector<Json> budgets() const override {
    return {{{"ratio", 0.1}}, {{"ratio", 0.2}}, {{"ratio", 0.3}}};
  }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration& data) override;

 private:
  int64_t rank_of(const LinearMap& map) const;
  double factorize(Edit& edit, LinearMap& map, const Moments& moments, int64_t rank) const;
  std::map<std::string, Moments> collect(Model& model, const Calibration& data,
                                         const std::vector<LinearMap*>& maps) const;
  Options options_;
};

int64_t Lord::rank_of(const LinearMap& map) const {
  const double in = static_cast<double>(map.in()), out = static_cast<double>(map.out());
  const double break_even = in * out / (in + out);
  auto rank = options_.rank ? options_.rank : static_cast<int64_t>((1 - options_.ratio) * break_even);
  rank = std::max<int64_t>(1, rank / options_.align * options_.align);
  if (options_.allow_full)
    return std::min(rank, options_.basis == "svd" ? std::min(map.in(), map.out()) : map.out());
  if (static_cast<double>(rank) < break_even) return rank;
  if (options_.strict)
    fail("lord: rank {} of '{}' saves nothing: it must be below {:.1f}", rank, map.path(), break_even);
  return 0;
}

std::map<std::string, Moments> Lord::collect(Model& model, const Calibration& data,
                                             const std::vector<LinearMap*>& maps) const {
  std::vector<Slot> taps;
  for (const auto* map : maps) taps.push_back(map->output_tap());
  const auto by_tap = collect_moments(model, data, taps, /*with_outer=*/true);
  std::map<std::string, Moments> moments;
  for (const auto* map : maps)
    if (const auto found = by_tap.find(map->output_tap()); found != by_tap.end())
      moments[map->path()] = found->second;
  return moments;
}

// Returns the error that the discarded eigenvalues predict.
double Lord::factorize(Edit& edit, LinearMap& map, const Moments& moments, int64_t rank) const {
  const auto weight = map.dense();
  const auto wide = weight.to(at::kDouble);
  const auto bias =
      map.bias() ? edit.tensor(map.bias()->name).to(at::kDouble) : at::zeros({map.out()}, at::kDouble);
  Tensor a, b, shift = bias;
  double error = 0;
  if (options_.basis == "svd") {
    const auto [u, s, v] = at::linalg_svd(wide, /*full_matrices=*/false);
    a = s.narrow(0, 0, rank).unsqueeze(1) * v.narrow(0, 0, rank);
    b = u.narrow(1, 0, rank);
  } else {
    const bool centred = options_.basis == "afm_centred";
    const auto n = static_cast<double>(moments.count);
    const auto mean = moments.sum / n;
    auto spread = moments.outer / n;
    if (centred) spread = spread - at::outer(mean, mean);
    const auto [values, vectors] = at::linalg_eigh(spread);
    b = vectors.narrow(1, map.out() - rank, rank).flip({1});
    a = b.t().matmul(wide);
    error = values.narrow(0, 0, map.out() - rank).clamp_min(0).sum().item<double>();
    shift = centred ? mean + b.matmul(b.t().matmul(bias - mean)) : b.matmul(b.t().matmul(bias));
  }
  TensorMap tensors = {{"a.weight", a.to(weight.scalar_type())}, {"b.weight", b.to(weight.scalar_type())}};
  if (map.bias() || options_.basis == "afm_centred") tensors["bias"] = shift.to(weight.scalar_type());
  edit.replace(map, PartSpec::from_json({{"type", "low_rank"}, {"rank", rank}}, "lord"), tensors);
  return error;
}

TransformResult Lord::apply(const std::shared_ptr<Model>& model, const Calibration& data) {
  const at::NoGradGuard guard;
  TransformResult result{model, {{"maps", Json::array()}}};
  const auto paths = [&] {
    std::vector<std::string> list;
    for (auto* map : block_maps(*model)) list.push_back(map->path());
    return list;
  }();
  if (paths.empty())
    fail("lord: the model has no dense block maps; dequantize or start from the dense model");
  const auto one = [&](Edit& edit, LinearMap* map, const Moments& moments) {
    int64_t rank = rank_of(*map);
    if (rank > 0 && moments.count <= map->out() && !options_.allow_full)
      rank = std::min(rank, moments.count - 1);
    Json row = {{"map", map->path()}, {"rank", rank}, {"of", std::min(map->in(), map->out())}};
    if (rank > 0) row["predicted_error"] = factorize(edit, *map, moments, rank);
    result.report["maps"].push_back(row);
    return rank > 0;
  };
  if (options_.order == "one_shot") {
    Edit edit(*model);
    auto maps = block_maps(*model);
    const auto moments = collect(*model, data, maps);
    bool any = false;
    for (auto* map : maps)
      if (const auto found = moments.find(map->path()); found != moments.end())
        any = one(edit, map, found->second) || any;
    if (!any) fail("lord: no map is factorized at ratio {}", options_.ratio);
    edit.record("lord", options_json(options_));
    result.model = edit.finish();
    return result;
  }
  for (const auto& path : paths) {
    LinearMap* map = nullptr;
    for (auto* candidate : block_maps(*result.model))
      if (candidate->path() == path) map = candidate;
    const auto moments = collect(*result.model, data, {map});
    Edit edit(*result.model);
    if (!moments.count(path) || !one(edit, map, moments.at(path))) continue;
    if (path == paths.back()) edit.record("lord", options_json(options_));
    result.model = edit.finish();
  }
  return result;
}

FORMWORK_ENTRY(Transform, Lord, "lord", "split maps by the principal subspace of their outputs");

}  // namespace
}  // namespace formwork
