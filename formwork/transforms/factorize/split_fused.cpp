#include "formwork/transforms/factorize/split_fused.h"

#include "formwork/linear/nested.h"
#include "formwork/transforms/transform.h"

namespace formwork {

std::shared_ptr<Model> split_fused_maps(const std::shared_ptr<Model>& model) {
  Edit edit(*model);
  bool any = false;
  for (auto* map : block_maps(*model)) {
    const auto& segments = map->need().out.segments;
    if (segments.size() < 2 || enclosing(model->inventory().maps, *map)) continue;
    std::vector<int64_t> sizes;
    sizes.reserve(segments.size());
    for (const auto& segment : segments) sizes.push_back(Dim::product(segment).size());
    const auto parts = map->dense().split_with_sizes(sizes, 0);
    TensorMap tensors;
    for (size_t i = 0; i < parts.size(); ++i) tensors[fmt::format("{}.weight", i)] = parts[i];
    edit.replace(*map, "stacked", tensors);
    any = true;
  }
  return any ? edit.finish() : model;
}

}  // namespace formwork
