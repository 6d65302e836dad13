// Specs compared option by option, as those do that look for another program's form of a model.
#pragma once
#include <string>

#include "formwork/core/spec.h"

namespace formwork {

// A Spec in which every option of every part stands with its value, so that two can be compared; what only
// training reads is left out.
Json in_force(const Spec& spec);

// Where two of those differ first: "model.layers[1].mixer.heads: 4, not 8"; empty: nowhere.
std::string first_difference(const Json& wanted, const Json& found, const std::string& path = "");

}  // namespace formwork
