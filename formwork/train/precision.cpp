#include "formwork/train/precision.h"

#include <ATen/autocast_mode.h>

namespace formwork {

void describe_precision(Fields& f, std::string& precision) {
  f.choice("precision", precision, {"float32", "bf16"},
           "of matrix products: float32 (the parameters' own), or bf16 by autocast");
}

PrecisionGuard::PrecisionGuard(const std::string& precision, at::DeviceType device)
    : device_(device),
      was_enabled_(at::autocast::is_autocast_enabled(device)),
      was_dtype_(at::autocast::get_autocast_dtype(device)) {
  at::autocast::increment_nesting();
  at::autocast::set_autocast_enabled(device_, precision == "bf16");
  at::autocast::set_autocast_dtype(device_, at::kBFloat16);
}

PrecisionGuard::~PrecisionGuard() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, was_enabled_);
  at::autocast::set_autocast_dtype(device_, was_dtype_);
}

}  // namespace formwork
