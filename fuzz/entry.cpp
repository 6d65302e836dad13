#include <cstddef>
#include <cstdint>

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    formwork::fuzz({reinterpret_cast<const char*>(data), size});
  } catch (const formwork::Error&) {
    // A refusal, as it should be.
  }
  return 0;
}
