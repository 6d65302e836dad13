#include "formwork/transforms/prune/scored.h"

#include "formwork/linear/sparse/masked.h"

namespace formwork {

std::vector<Json> prune_budgets() { return {{{"sparsity", 0.3}}, {{"sparsity", 0.5}}, {{"n", 2}, {"m", 4}}}; }

Budget prune_budget(const PruneOptions& options, const TransformResult& made) {
  double kept = 0, all = 0;
  for (const auto& row : made.report.at("maps")) {
    kept += row.value("kept", 0.0);
    all += row.value("of", 0.0);
  }
  const double asked =
      options.n > 0 ? 1 - static_cast<double>(options.n) / static_cast<double>(options.m) : options.sparsity;
  return {"share of zero weights", asked, 1 - kept / all};
}

Replacement prune_map(LinearMap& map, const Tensor& scores, const PruneOptions& options, bool by_row) {
  const auto weight = map.dense();
  Replacement made;
  if (options.n > 0) {
    if (map.in() % options.m != 0)
      return Replacement::leave(fmt::format("{} inputs are no multiple of {}", map.in(), options.m));
    const auto mask = keep_n_of_m(scores, options.n, options.m);
    made.tensors = n_of_m_tensors(weight, mask, options.n, options.m);
    made.representation = PartSpec("masked");
    made.representation->options = {{"pattern", "n_of_m"}, {"n", options.n}, {"m", options.m}};
  } else {
    const auto mask = keep_highest(scores, options.sparsity, by_row);
    made.tensors = unstructured_tensors(weight, mask);
    const int64_t kept = made.tensors.at("values").numel();
    if (kept == 0) fail("'{}': sparsity {} keeps no weight", map.path(), options.sparsity);
    made.representation = PartSpec("masked");
    made.representation->options = {{"pattern", "unstructured"}, {"kept", kept}};
  }
  made.row["kept"] = made.tensors.at("values").numel();
  made.row["of"] = weight.numel();
  return made;
}

}  // namespace formwork
