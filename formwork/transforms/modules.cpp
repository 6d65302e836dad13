#include "formwork/transforms/modules.h"

#include "formwork/channels/routes.h"

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

std::vector<ModulePool> find_pools(const Model& model, const std::string& pattern) {
  std::vector<ModulePool> pools;
  for (auto* map : model.inventory().maps) {
    const auto& out = map->need().out;
    if (map->role() != Role::router || out.segments.size() != 1 || out.segments[0].size() != 1) continue;
    const auto& axis = out.segments[0][0].name;
    if (!is_bank_axis(model, axis) || !matches(pattern, axis)) continue;
    ModulePool pool;
    pool.scope = map->path().substr(0, map->path().rfind('.'));
    pool.axis = axis, pool.router = map;
    pool.gates = tap_of(model, pool.scope + ".gates");
    pool.probabilities = tap_of(model, pool.scope + ".probabilities");
    if (pool.gates >= 0 && pool.probabilities >= 0) pools.push_back(std::move(pool));
  }
  return pools;
}

// Which rows of a pool's banks are whose, in the pass that is going on.
struct RowsOfModules {
  Tensor probabilities;
  std::vector<int64_t> counts;  // rows of each module, one after another
  Tensor real;                  // [C] bool

  // Probabilities come first, of all rows, padding among them where the mixer gives it a module; the gates
  // tell which rows are real.
  void listen(TapBoard& board, const ModulePool& pool) {
    board.listen(pool.probabilities, [this](Context&, const TapEvent&, const Tensor& p) {
      probabilities = p;
      return p;
    });
    board.listen(pool.gates, [this](Context&, const TapEvent&, const Tensor& gates) {
      const auto taken = gates.ne(0);
      const int64_t active = taken.numel() ? taken.sum(-1).max().item<int64_t>() : 0;
      const Routes routes(std::get<1>(probabilities.topk(active, -1)), gates.size(-1));
      counts = routes.counts();
      real = routes.gather(taken.any(-1, /*keepdim=*/true)).squeeze(1);
      return gates;
    });
  }
  void add_to(std::vector<Moments>& moments, const TapEvent& event, const Tensor& x) const {
    if (x.size(0) != real.size(0))
      fail("'{}': expected {} rows, as the router chose, found {}", event.name, real.size(0), x.size(0));
    moments.resize(counts.size());
    const auto rows = x.split_with_sizes(counts), kept = real.split_with_sizes(counts);
    for (size_t g = 0; g < counts.size(); ++g)
      if (kept[g].any().item<bool>()) moments[g].add(rows[g].index({kept[g]}), /*with_outer=*/true);
  }
};

}  // namespace

std::vector<ModulePool> module_pools(const Model& model, const std::string& pattern,
                                     const std::string& transform) {
  auto pools = find_pools(model, pattern);
  if (!pools.empty()) return pools;
  std::vector<std::string> axes;
  for (const auto& pool : find_pools(model, "*")) axes.push_back(pool.axis);
  if (axes.empty()) fail("{}: expected a model with routed modules, found none", transform);
  fail_unknown(transform + ": axis of modules", pattern, axes);
}

std::optional<ModulePool> pool_of(const Model& model, const LinearMap& bank) {
  const auto pools = find_pools(model, bank.need().bank.name);
  return pools.empty() ? std::nullopt : std::optional(pools[0]);
}

std::map<Slot, std::vector<Moments>> collect_module_moments(Model& model, const Calibration& data,
                                                            const std::vector<const LinearMap*>& banks) {
  std::map<Slot, std::vector<Moments>> moments;
  std::map<std::string, RowsOfModules> rows;  // by axis
  auto board = model.make_board();
  size_t at = 0;
  for (const auto* bank : banks) {
    const auto pool = pool_of(model, *bank);
    if (!pool) fail("'{}': no router chooses among the {} matrices", bank->path(), bank->banks());
    const auto [found, fresh] = rows.try_emplace(pool->axis);
    if (fresh) found->second.listen(board, *pool);
    board.listen(bank->output_tap(),
                 [&, of_pool = &found->second](Context&, const TapEvent& event, const Tensor& x) {
                   require_finite(event, x, at);
                   if (x.size(0) > 0) of_pool->add_to(moments[event.slot], event, x);
                   return x;
                 });
  }
  for (; at < data.batches.size(); ++at) run_calibration(model, {{data.batches[at]}}, board);
  return moments;
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
