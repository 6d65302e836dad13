#include "formwork/transforms/transform.h"

namespace formwork {

FORMWORK_CATALOG(Transform);

void run_calibration(Model& model, const Calibration& data, TapBoard& board) {
  if (data.batches.empty()) fail("calibration: no data was given");
  const at::NoGradGuard guard;
  for (const auto& batch : data.batches) {
    auto ctx = model.make_context(&board);
    model.forward(ctx, batch);
  }
}

Tensor real_tokens(const Context& ctx, const Tensor& x) {
  const auto flat = x.reshape({-1, x.size(-1)});
  if (!ctx.layout || x.dim() < 3) return flat;
  const auto keep = ctx.layout->keep(x.size(1));
  return keep.defined() ? flat.index({keep.reshape(-1)}) : flat;
}

std::vector<LinearMap*> block_maps(const Model& model) {
  std::vector<LinearMap*> maps;
  for (auto* map : model.inventory().maps) {
    const Role role = map->role();
    const bool outside = role == Role::embed || role == Role::head || role == Role::shortcut ||
                         role == Role::router || role == Role::conv;
    if (!outside && map->type() == "dense" && map->banks() == 0) maps.push_back(map);
  }
  return maps;
}

}  // namespace formwork
