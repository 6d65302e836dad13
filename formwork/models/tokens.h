// What models of tokens share: reading tokens and attention_mask, compaction, positions.
#pragma once
#include "formwork/models/model.h"

namespace formwork {

struct TokenInput {
  Tensor content;   // left-aligned: ids [B, T] int64, or numbers [B, T, F]
  Tensor segments;  // [B, T] or undefined
  Layout layout;
  Tensor positions;                              // [B|1, T]
  std::shared_ptr<const Compaction> compaction;  // null: no padding
};

// Fields of the record (Hugging Face names, behind `prefix`): `field`, which holds the tokens (input_ids
// [B, T] int64, or any other [B, T, F] of floating-point numbers), attention_mask [B, T] (optional),
// token_type_ids, position_ids, prefix_lengths [B] (optional), offsets [S + 1] (packed rows), parents [B|1,
// T] (the tokens are a tree) and anchors [B|1, A] (tokens that drafts grow from; core/layout.h). Checks types
// and shapes; unknown fields are errors.
TokenInput read_tokens(const Record& in, const std::string& prefix, const std::string& field);
// Puts the outputs of a head that have an entry for each token back in the caller's order.
void restore_tokens(const Compaction* compaction, const Head& head, Record& out);
// Positions [1, N] of packed rows, each counted from 0.
Tensor packed_positions(const std::vector<int64_t>& offsets);
// `fields` of a record behind `prefix`, and those of trees and drafts.
std::vector<std::string> with_draft_fields(std::vector<std::string> fields, const std::string& prefix = "");
void check_fields(const Record& in, const std::vector<std::string>& known);

}  // namespace formwork
