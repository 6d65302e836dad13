#include "formwork/linear/nested.h"

#include "formwork/linear/dense.h"

namespace formwork {
namespace {

// By name and by what it owns: a head's own map, at the path of the head, does not enclose the head's others.
bool encloses(const LinearMap& outer, const LinearMap& map) {
  if (map.path().rfind(outer.path() + ".", 0) != 0 || map.params().empty()) return false;
  const auto& owned = outer.params();
  return std::all_of(map.params().begin(), map.params().end(), [&](const Param* param) {
    return std::find(owned.begin(), owned.end(), param) != owned.end();
  });
}

}  // namespace

std::unique_ptr<LinearMap> make_nested(const Build& build, const std::string& name, const LinearNeed& need) {
  if (auto named = make_optional_linear(build, name, need)) return named;
  Build child = build.at(name);
  auto map = std::make_unique<DenseLinear>(child, need, DenseLinear::Options{});
  build.inventory().maps.push_back(map.get());
  return map;
}

const LinearMap* enclosing(const std::vector<LinearMap*>& maps, const LinearMap& map) {
  const LinearMap* outermost = nullptr;
  for (const auto* other : maps)
    if (encloses(*other, map) && (!outermost || other->path().size() < outermost->path().size()))
      outermost = other;
  return outermost;
}

bool has_pieces(const std::vector<LinearMap*>& maps, const LinearMap& map) {
  return std::any_of(maps.begin(), maps.end(), [&](const auto* other) { return encloses(map, *other); });
}

}  // namespace formwork
