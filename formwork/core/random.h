// Random streams by name: a draw depends on the seed, its stream's name and a counter, and on nothing else,
// so that resuming, recomputing under activation checkpointing and reordering parts change no value.
#pragma once
#include <ATen/core/Generator.h>

#include <cstdint>
#include <string_view>

namespace formwork {

uint64_t hash_name(std::string_view name, uint64_t seed);  // FNV-1a, then mixed
uint64_t mix(uint64_t a, uint64_t b);                      // SplitMix64 finalizer over both
at::Generator make_stream(uint64_t seed, std::string_view name, uint64_t counter = 0);

}  // namespace formwork
