// Inputs of selective scans for tests.
#pragma once
#include "formwork/mixers/recurrent/selective_scan.h"

namespace formwork {

inline SelectiveScan random_scan(int64_t batch, int64_t length, int64_t channels, int64_t states,
                                 at::ScalarType type) {
  SelectiveScan s;
  s.delta = at::rand({batch, length, channels}, type) * 0.3;
  s.A = -at::rand({channels, states}, type) * 3 - 0.1;
  s.B = at::randn({batch, length, states}, type), s.C = at::randn({batch, length, states}, type);
  s.x = at::randn({batch, length, channels}, type), s.z = at::randn({batch, length, channels}, type);
  s.D = at::randn({channels}, type), s.h0 = at::randn({batch, channels, states}, type);
  return s;
}

// One channel, one state, A = -1, B = C = 1, no skip, no gate.
inline SelectiveScan single(const Tensor& delta, const Tensor& x) {
  SelectiveScan s;
  s.delta = delta.view({1, -1, 1}), s.x = x.view({1, -1, 1});
  s.A = at::full({1, 1}, -1.0, at::kDouble);
  s.B = s.C = at::ones_like(s.x);
  return s;
}

}  // namespace formwork
