#include "formwork/kernels/cpu/amx_tiles.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace formwork {

bool amx_available(int bit) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const unsigned tiles = 1u << 24;
  if (!(d & tiles) || !(d & 1u << bit)) return false;
  constexpr long request_permission = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

}  // namespace formwork

#else
namespace formwork {
bool amx_available(int) { return false; }
}  // namespace formwork
#endif
