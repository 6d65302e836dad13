// What a Spec's table of sources says about a parameter.
#pragma once
#include "formwork/core/spec.h"

namespace formwork {

// Whether the table freezes the parameter `full`: as the entry of that name says, or else that of the longest
// pattern that says anything about it.
bool is_frozen(const Spec& spec, const std::string& full);

// The name that `full` shares with by the table, or empty.
std::string shared_with(const Spec& spec, const std::string& full);

// The initialization that the table gives the parameter `full`, found likewise; empty: its part's own.
std::string init_of(const Spec& spec, const std::string& full);

}  // namespace formwork
