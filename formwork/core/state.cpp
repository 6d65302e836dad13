#include "formwork/core/state.h"

#include "formwork/core/error.h"

namespace formwork {

void State::keep(const Tensor&, const Tensor&) {
  fail("this state holds no single tokens, so it cannot keep some of an append");
}

}  // namespace formwork
