// Random streams by name: a draw depends on the seed, its stream's name and a counter, and on nothing else,
// so that resuming, recomputing under activation checkpointing and reordering parts change no value.
#pragma once
#include <ATen/core/Generator.h>

#include "formwork/core/name_hash.h"

namespace formwork {

at::Generator make_stream(uint64_t seed, std::string_view name, uint64_t counter = 0);

}  // namespace formwork
