// What kernels on AMX tiles share.
#pragma once

namespace formwork {

// Whether the processor has these tile instructions and the system lets this process use them. Bits of
// CPUID 7.0 EDX: 22 bfloat16, 25 int8.
bool amx_available(int bit);

}  // namespace formwork
