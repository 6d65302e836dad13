#include "formwork/transforms/modules.h"

namespace formwork {
namespace {

Slot tap_of(const Model& model, const std::string& name) {
  const auto& names = model.inventory().taps.all();
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? -1 : static_cast<Slot>(found - names.begin());
}

bool is_bank_axis(const Model& model, const std::string& axis) {
  const auto& maps = model.inventory().maps;
  return std::any_of(maps.begin(), maps.end(),
                     [&](const LinearMap* map) { return map->banks() > 0 && map->need().bank.name == axis; });
}

void add(Tensor& total, const Tensor& part) { total = total.defined() ? total + part : part; }

}  // namespace

std::vector<ModulePool> module_pools(const Model& model, const std::string& pattern,
                                     const std::string& transform) {
  std::vector<ModulePool> pools;
  std::vector<std::string> axes;
  for (auto* map : model.inventory().maps) {
    const auto& out = map->need().out;
    if (map->role() != Role::router || out.segments.size() != 1 || out.segments[0].size() != 1) continue;
    const auto& axis = out.segments[0][0].name;
    if (!is_bank_axis(model, axis)) continue;
    axes.push_back(axis);
    if (!matches(pattern, axis)) continue;
    ModulePool pool;
    pool.scope = map->path().substr(0, map->path().rfind('.'));
    pool.axis = axis, pool.router = map;
    pool.gates = tap_of(model, pool.scope + ".gates");
    pool.probabilities = tap_of(model, pool.scope + ".probabilities");
    if (pool.gates >= 0 && pool.probabilities >= 0) pools.push_back(std::move(pool));
  }
  if (axes.empty()) fail("{}: expected a model with routed modules, found none", transform);
  if (pools.empty()) fail_unknown(transform + ": axis of modules", pattern, axes);
  return pools;
}

std::vector<ModuleUse> module_use(Model& model, const std::vector<ModulePool>& pools,
                                  const Calibration& data) {
  std::vector<ModuleUse> uses(pools.size());
  auto board = model.make_board();
  for (size_t i = 0; i < pools.size(); ++i) {
    auto& use = uses[i];
    // Probabilities come first, of all rows; the gates tell which rows are real.
    auto latest = std::make_shared<Tensor>();
    board.listen(pools[i].probabilities, [latest](Context&, const TapEvent&, const Tensor& p) {
      *latest = p.to(at::kDouble);
      return p;
    });
    board.listen(pools[i].gates, [latest, &use](Context&, const TapEvent&, const Tensor& gates) {
      const auto taken = gates.ne(0).to(at::kDouble);
      const auto per_token = taken.sum(-1), real = per_token.gt(0).to(at::kDouble);
      use.tokens += real.sum().item<int64_t>();
      if (per_token.numel()) use.active = std::max(use.active, per_token.max().item<int64_t>());
      add(use.chosen, taken.sum(0));
      add(use.probability, (*latest * real.unsqueeze(-1)).sum(0));
      return gates;
    });
  }
  run_calibration(model, data, board);
  for (auto& use : uses)
    if (use.tokens > 0) use.probability = use.probability / static_cast<double>(use.tokens);
  return uses;
}

}  // namespace formwork
