// What models of tokens share: reading input_ids and attention_mask, compaction, positions.
#pragma once
#include "formwork/models/model.h"

namespace formwork {

struct TokenInput {
  Tensor ids;       // [B, T] int64, left-aligned
  Tensor segments;  // [B, T] or undefined
  Layout layout;
  Tensor positions;                              // [B|1, T]
  std::shared_ptr<const Compaction> compaction;  // null: no padding
};

// Fields of the record (Hugging Face names, behind `prefix`): input_ids [B, T] int64, attention_mask [B, T]
// (optional), token_type_ids, position_ids, prefix_lengths [B] (optional), offsets [S + 1] (packed rows).
// Checks types and shapes; unknown fields are errors.
TokenInput read_tokens(const Record& in, const std::string& prefix);
// Puts the outputs of a head that have an entry for each token back in the caller's order.
void restore_tokens(const Compaction* compaction, const Head& head, Record& out);
// Positions [1, N] of packed rows, each counted from 0.
Tensor packed_positions(const std::vector<int64_t>& offsets);
void check_fields(const Record& in, const std::vector<std::string>& known);

}  // namespace formwork
