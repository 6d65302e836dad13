#include "formwork/core/random.h"

#include <ATen/CPUGeneratorImpl.h>

namespace formwork {

at::Generator make_stream(uint64_t seed, std::string_view name, uint64_t counter) {
  return at::make_generator<at::CPUGeneratorImpl>(mix(hash_name(name, seed), counter));
}

}  // namespace formwork
