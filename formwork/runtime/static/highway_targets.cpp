// Highway's choice of a SIMD target, for programs that must not need its shared library (Debian ships no
// other): the definitions that <hwy/targets.h> and <hwy/base.h> declare.
#include <hwy/highway.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace hwy {
namespace {

int64_t disabled = 0, for_test = 0;

int64_t detected() {
  int64_t targets = HWY_STATIC_TARGET;
#if HWY_ARCH_X86
  __builtin_cpu_init();
  const auto when = [&](bool present, int64_t target) {
    if (present) targets |= target;
    return present;
  };
  if (!when(__builtin_cpu_supports("ssse3"), HWY_SSSE3)) return targets;
  const bool carryless = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("aes");
  if (!when(__builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("sse4.2") && carryless, HWY_SSE4))
    return targets;
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  if (!when(avx2, HWY_AVX2)) return targets;
  const bool avx3 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  if (!when(avx3, HWY_AVX3)) return targets;
  when(__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("vpclmulqdq") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bitalg") &&
           __builtin_cpu_supports("gfni"),
       HWY_AVX3_DL);
#endif
  return targets;
}

}  // namespace

int64_t SupportedTargets() {
  static const int64_t found = detected();
  const int64_t targets = (for_test ? for_test : found) & ~disabled;
  return targets ? targets : HWY_STATIC_TARGET;
}

void DisableTargets(int64_t targets) { disabled = targets; }
void SetSupportedTargetsForTest(int64_t targets) { for_test = targets; }

ChosenTarget& GetChosenTarget() {
  static ChosenTarget chosen;
  return chosen;
}

void Abort(const char* file, int line, const char* format, ...) {
  std::fprintf(stderr, "%s:%d: ", file, line);
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::abort();
}

}  // namespace hwy
