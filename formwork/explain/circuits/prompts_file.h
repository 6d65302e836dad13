// Prompts with an answer and a foil for circuits: from a JSON file, or the rows of a task.
#pragma once
#include <filesystem>

#include "formwork/explain/circuits/circuit_search.h"

namespace formwork {

// {"prompts": [{"tokens": [3, 1, 4], "answer": 5, "foil": 2}, ..], "reference": [[2, 7, 1], ..]}; "reference"
// may be absent. With a tokenizer in the model's meta, "text" may stand for "tokens", texts for reference
// rows, and an answer or foil may be a text of one token. Errors name the file and the prompt.
CircuitPrompts read_prompts(const std::filesystem::path& path, const Json& meta);

// The rows of batches, of one length: each answer is what the model says last, its foil the second choice,
// and the rows themselves are the reference.
CircuitPrompts prompts_of_rows(Model& model, const std::vector<Record>& batches);

}  // namespace formwork
