// Plain passes seen by their attention heads: what each head reads and returns, means of that over rows, and
// passes in which the results of chosen heads are replaced by their means.
#pragma once
#include <vector>

#include "formwork/explain/circuits/head_sites.h"

namespace formwork {

// What one layer's heads did: [B, T, H, width] each (undefined where the mixer has none), weights [B, H, T,
// T].
struct HeadActivations {
  Tensor result, query, key, value, weights;
};

// A pass over B rows of T tokens.
struct HeadRecord {
  std::vector<Tensor> inputs;  // of each segment, [B, T, D]
  Layout layout;
  std::vector<HeadActivations> layers;
  Tensor logits;  // [B, T, V], or [B, C] of a classifier

  int64_t rows() const { return inputs.at(0).size(0); }
  int64_t tokens() const { return inputs.at(0).size(1); }
};

// The layout of `times` copies of a batch, one after another.
Layout repeated(const Layout& layout, int64_t times);

// The last token of logits [B, T, V] -> [B, V]; those of a classifier as they are.
Tensor last_token(const Tensor& logits);

// Refuses rows of unequal lengths: a place of a head means the same in all rows.
HeadRecord record_heads(Model& model, const std::vector<HeadSite>& sites, const Record& rows);

// Means over the rows of a record, by layer, place and head: [T, H, width] each.
std::vector<HeadActivations> head_means(const HeadRecord& record);

// The logits of a pass over the recorded rows in which every head's result outside the circuit is its mean:
// keep [C, layers, T, most heads of a layer] bool, one circuit each -> [C, B, ...]. At most `chunk` circuits
// at once.
Tensor ablated_logits(Model& model, const std::vector<HeadSite>& sites, const HeadRecord& record,
                      const std::vector<HeadActivations>& means, const Tensor& keep, int64_t chunk);

}  // namespace formwork
