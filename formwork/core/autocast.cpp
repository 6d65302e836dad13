#include "formwork/core/autocast.h"

#include <ATen/autocast_mode.h>

namespace formwork {
namespace {

void set(const Autocast& autocast) {
  at::autocast::set_autocast_enabled(autocast.device, autocast.enabled);
  at::autocast::set_autocast_dtype(autocast.device, autocast.dtype);
}

}  // namespace

Autocast Autocast::current(at::DeviceType device) {
  return {device, at::autocast::is_autocast_enabled(device), at::autocast::get_autocast_dtype(device)};
}

AutocastGuard::AutocastGuard(const Autocast& autocast) : before_(Autocast::current(autocast.device)) {
  at::autocast::increment_nesting();
  set(autocast);
}

AutocastGuard::~AutocastGuard() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  set(before_);
}

}  // namespace formwork
