#include "formwork/explain/circuits/head_sites.h"

#include "formwork/linear/linear_map.h"

namespace formwork {
namespace {

std::string parent(const std::string& path) { return path.substr(0, path.rfind('.')); }

// A dimension's segment as heads x width: the last axis is the width.
HeadSlice slice_of(const Dim& dim, size_t segment, Slot slot) {
  HeadSlice slice;
  const auto size = [](const std::vector<Axis>& axes) {
    int64_t size = 1;
    for (const auto& axis : axes) size *= axis.size;
    return size;
  };
  for (size_t i = 0; i < segment; ++i) slice.first += size(dim.segments[i]);
  slice.slot = slot, slice.width = dim.segments[segment].back().size;
  slice.heads = size(dim.segments[segment]) / slice.width;
  return slice;
}

bool has_heads(const Dim& dim) { return dim.segments.size() == 1 && dim.segments[0].size() > 1; }

void find_inputs(const Model& model, HeadSite& site) {
  for (const auto* map : model.inventory().maps) {
    if (parent(map->path()) != site.mixer) continue;
    const auto& out = map->need().out;
    if (map->role() == Role::qkv && out.segments.size() == 3) {
      site.query = slice_of(out, 0, map->output_tap());
      site.key = slice_of(out, 1, map->output_tap());
      site.value = slice_of(out, 2, map->output_tap());
    }
    if (map->role() == Role::query) site.query = slice_of(out, 0, map->output_tap());
    if (map->role() == Role::key) site.key = slice_of(out, 0, map->output_tap());
    if (map->role() == Role::value) site.value = slice_of(out, 0, map->output_tap());
  }
  const auto& taps = model.inventory().taps.all();
  const auto found = std::find(taps.begin(), taps.end(), site.mixer + ".weights");
  if (found != taps.end()) site.weights = static_cast<Slot>(found - taps.begin());
}

}  // namespace

std::vector<HeadSite> head_sites(const Model& model) {
  std::vector<HeadSite> sites;
  const auto segments = model.segments();
  for (size_t i = 0; i < segments.size(); ++i) {
    const auto step = segments[i].substr(0, segments[i].find('@')) + ".";
    for (const auto* map : model.inventory().maps) {
      if (map->role() != Role::out || !map->path().starts_with(step) || !has_heads(map->need().in)) continue;
      HeadSite site;
      site.mixer = parent(map->path()), site.segment = static_cast<int64_t>(i);
      site.result = slice_of(map->need().in, 0, map->input_tap());
      find_inputs(model, site);
      sites.push_back(std::move(site));
    }
  }
  return sites;
}

Tensor of_heads(const HeadSlice& slice, const Tensor& x, int64_t heads) {
  const auto own =
      x.narrow(-1, slice.first, slice.heads * slice.width).unflatten(-1, {slice.heads, slice.width});
  return slice.heads == heads ? own : own.repeat_interleave(heads / slice.heads, -2);
}

}  // namespace formwork
