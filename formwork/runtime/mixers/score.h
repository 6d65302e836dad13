// How scores of keys become weights.
#pragma once
#include "formwork/kernels/cpu/cached_attention.h"
#include "formwork/runtime/part.h"

namespace formwork::runtime {

class Score {
 public:
  static const char* kind() { return "runtime scores"; }
  static const char* noun() { return "score"; }
  virtual ~Score() = default;
  virtual ScoreRule rule() const = 0;
  virtual double cap() const { return 0; }  // at which scores end smoothly; 0: none
};

}  // namespace formwork::runtime

namespace formwork {
template <>
class Registry<runtime::Score> : public runtime::Parts<runtime::Score> {};
}  // namespace formwork
