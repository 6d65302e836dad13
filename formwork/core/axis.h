// Axes: named dimensions that several parameters share. A transform cuts, permutes or rotates an axis, and
// every parameter that carries it follows; no transform knows a class or a weight by name.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace formwork {

// What may be done to an axis without changing the function, from least to most. Each group contains those
// before it, except rotary_pairs, which allows a permutation that keeps pairs together and nothing more.
enum class Group { none, rotary_pairs, permute, scale, orthogonal, invertible };
const char* group_name(Group group);

// Which entries of an axis of rotary pairs, of size n, belong together: (i, i + n / 2), or (2 i, 2 i + 1).
enum class Pairs { halves, neighbours };

struct Axis {
  std::string name;  // "residual", "layers.3.channel.hidden"; empty for a dimension that nothing shares
  int64_t size = 0;
  int64_t original = 0;  // before surgery: what the options asked for; 0: as `size`
  int64_t asked() const { return original ? original : size; }
};

// One dimension of a parameter: a concatenation of segments, each a product of axes (first axis slowest).
// A fused qkv output is {{kv_heads, group, head_width}, {kv_heads, head_width}, {kv_heads, head_width}}.
// `grain` > 1: each stored entry stands for that many entries, which only move together (int4 groups).
// `writes`: the parameter produces this axis (rather than consuming it), which decides whether an invertible
// change of basis acts by its matrix or by its inverse.
struct Dim {
  std::vector<std::vector<Axis>> segments;
  int64_t grain = 1;
  bool writes = false;

  Dim() = default;
  Dim(const Axis& axis) : segments{{axis}} {}
  static Dim product(std::vector<Axis> axes) {
    Dim dim;
    dim.segments = {std::move(axes)};
    return dim;
  }
  static Dim concat(std::vector<std::vector<Axis>> segments) {
    Dim dim;
    dim.segments = std::move(segments);
    return dim;
  }
  // A dimension of its own that no other parameter shares.
  static Dim plain(int64_t size) { return Dim(Axis{"", size}); }

  int64_t size() const;
  int64_t stored() const;  // entries of the tensor: size / grain, rounded up
  bool carries(const std::string& axis) const;
  std::string describe() const;  // "kv_heads*head_width + ..."
};

}  // namespace formwork
