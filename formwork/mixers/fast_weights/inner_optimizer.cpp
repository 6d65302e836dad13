#include "formwork/mixers/fast_weights/inner_optimizer.h"

namespace formwork {

FORMWORK_KIND(InnerOptimizer);

double InnerOptimizer::starting_rate(int64_t window, int64_t chunk, int64_t features) const {
  return std::min(0.5, static_cast<double>(features) / static_cast<double>(window * chunk));
}

double InnerOptimizer::flops(int64_t rows, int64_t columns, int64_t window, int64_t chunk) const {
  return 2.0 * static_cast<double>((window + chunk) * (rows + columns));
}

}  // namespace formwork
