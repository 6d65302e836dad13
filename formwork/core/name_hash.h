// Numbers from names: what seeds a random stream.
#pragma once
#include <cstdint>
#include <string_view>

namespace formwork {

uint64_t hash_name(std::string_view name, uint64_t seed);  // FNV-1a, then mixed
uint64_t mix(uint64_t a, uint64_t b);                      // SplitMix64 finalizer over both

}  // namespace formwork
