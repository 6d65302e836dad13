// Writes a model as a GGUF file that llama.cpp loads.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "formwork/models/model_io.h"

namespace formwork {

// `type`: of the matrices: f32, f16, bf16, q8_0, q4_0, q4_1, q4_k, q5_k or q6_k; empty: matrices that are
// kept in blocks stay as they are, bit for bit, and the others become f32. Vectors and positions are f32. As
// llama.cpp mixes them, the matrix of the output (or of an embedding that it shares) takes q6_k where `type`
// is a smaller one. Where rows are no whole blocks, q4_k becomes q4_1, q5_k and q6_k become q8_0, and then
// any f16.
//
// Returns one line for each kind of matrix that got another type than the one asked for, and one where the
// tokenizer could not be written. A model that no architecture can express is an Error that names the part
// that stands in the way.
std::vector<std::string> export_gguf(const std::shared_ptr<Model>& model, const std::filesystem::path& path,
                                     const std::string& type = "");

}  // namespace formwork
