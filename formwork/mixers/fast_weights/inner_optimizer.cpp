#include "formwork/mixers/fast_weights/inner_optimizer.h"

namespace formwork {

FORMWORK_KIND(InnerOptimizer);

double InnerOptimizer::flops(int64_t rows, int64_t columns, int64_t window, int64_t chunk) const {
  return 2.0 * static_cast<double>((window + chunk) * (rows + columns));
}

}  // namespace formwork
