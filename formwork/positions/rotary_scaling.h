// Scalings of rotary positions: how the frequencies of a model are stretched to contexts longer than the one
// it was trained on. A head of width d has d/2 pairs; pair i turns by position * f_i.
#pragma once
#include <vector>

#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

// f_i = base^(-2i/width), i < width/2 (Su et al., 2021).
std::vector<double> rotary_frequencies(int64_t width, double base);

class RotaryScaling : public Part {
 public:
  static const char* kind() { return "rotary_scalings"; }
  static const char* noun() { return "rotary scaling"; }
  virtual std::vector<double> frequencies(int64_t width, double base) const = 0;
  // Factor on the turned queries and keys.
  virtual double amplitude() const { return 1; }
  // Factors on the frequencies that depend on the position, [B|1, T, width/2]; undefined where there are
  // none.
  virtual Tensor stretch(const Tensor& positions, int64_t width) const { return {}; }
  virtual bool stretches() const { return false; }
};

}  // namespace formwork
