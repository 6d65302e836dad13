#include "formwork/heads/reconstructors/reconstructor.h"

namespace formwork {

FORMWORK_KIND(Reconstructor);

std::pair<int64_t, int64_t> map_sides(const Layout* layout, const std::string& path) {
  if (!layout || layout->dims.size() != 2 || layout->lengths.defined())
    fail("{}: expected a map of height x width, found {}", path,
         layout && layout->dims.size() == 2
             ? "rows of unequal lengths"
             : fmt::format("{} token dimensions", layout ? std::max<size_t>(1, layout->dims.size()) : 1));
  return {layout->dims[0].size, layout->dims[1].size};
}

Tensor shuffle_tokens(const Context& ctx, const Tensor& x, const Enlargement& by, const std::string& path) {
  if (by.rows == 1 && by.columns == 1) return x;
  const auto [height, width] = map_sides(ctx.layout, path);
  // [B, h, w, row, column, D] -> [B, h, row, w, column, D]
  return x.unflatten(2, {by.rows, by.columns, -1})
      .unflatten(1, {height, width})
      .permute({0, 1, 3, 2, 4, 5})
      .flatten(1, 4);
}

}  // namespace formwork
