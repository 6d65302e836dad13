// Scalings of rotary positions: how the frequencies of a model are stretched to contexts longer than the one
// it was trained on. A head of width d has d/2 pairs; pair i turns by position * f_i.
#pragma once
#include <vector>

#include "formwork/core/factory.h"

namespace formwork {

// f_i = base^(-2i/width), i < width/2 (Su et al., 2021).
std::vector<double> rotary_frequencies(int64_t width, double base);

class RotaryScaling {
 public:
  static const char* kind() { return "rotary_scalings"; }
  static const char* noun() { return "rotary scaling"; }
  virtual ~RotaryScaling() = default;
  virtual std::vector<double> frequencies(int64_t width, double base) const = 0;
  // Factor on the turned queries and keys.
  virtual double amplitude() const { return 1; }
  // Whether frequencies depend on the position, by factors [width/2] on them that `stretch` writes.
  virtual bool stretches() const { return false; }
  virtual void stretch(int64_t position, int64_t width, float* factors) const {}
};

template <>
class Registry<RotaryScaling> : public Factory<RotaryScaling, const Place&> {};

}  // namespace formwork
