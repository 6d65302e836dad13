// Positions inside attention: queries and keys turn, or scores get a bias.
#pragma once
#include "formwork/runtime/part.h"

namespace formwork::runtime {

// Built with scope.in: the channels of a head, and scope.heads.
class MixerPosition {
 public:
  static const char* kind() { return "runtime positions"; }
  static const char* noun() { return "position"; }
  virtual ~MixerPosition() = default;
  // Of a head, the first `turned` channels turn, in pairs (i, i + turned/2), or (2i, 2i + 1) where not
  // `halves`.
  virtual int64_t turned() const { return 0; }
  virtual bool halves() const { return true; }
  // Tables [turned / 2] at a position.
  virtual void table(int64_t position, float* cosines, float* sines) const {}
  // [heads], or null: a penalty -slope_h * distance.
  virtual const float* slopes() const { return nullptr; }
  // [heads, reach], or null: a bias for each distance, the last for all that are farther.
  virtual const float* bias() const { return nullptr; }
  virtual int64_t reach() const { return 0; }
};

}  // namespace formwork::runtime

namespace formwork {
template <>
class Registry<runtime::MixerPosition> : public runtime::Parts<runtime::MixerPosition> {};
}  // namespace formwork
