// Small Specs to begin with, carried by the library: the files of specs/. What a task decides (vocabulary,
// head) is left to it.
#pragma once
#include <string>
#include <vector>

#include "formwork/core/spec.h"

namespace formwork {

// File names without ".json", in alphabetical order.
std::vector<std::string> built_in_spec_names();
// Throws, naming the nearest, when there is none.
Spec built_in_spec(const std::string& name);

}  // namespace formwork
