// Where the heads of attention can be read and replaced: the result z of each head is what the mixer's map of
// role out reads, before it mixes heads; queries, keys and values are what their maps return, before
// positions turn them. Found by roles and axes of the maps, so for every mixer that has heads. (A head is no
// slice of the stream behind the map of role out.)
#pragma once
#include <string>
#include <vector>

#include "formwork/models/model.h"

namespace formwork {

// A part of what a map returns: channels [first, first + heads * width), head after head.
struct HeadSlice {
  Slot slot = -1;  // -1: the mixer has none
  int64_t first = 0, heads = 0, width = 0;
};

struct HeadSite {
  std::string mixer;    // path
  int64_t segment = 0;  // of the model, in which it runs
  HeadSlice result, query, key, value;
  Slot weights = -1;  // the tap of the attention weights [B, H, T, T]
  int64_t heads() const { return result.heads; }
};

// In the order in which they run; those of a looped wiring once for each loop. Called layers from here on.
std::vector<HeadSite> head_sites(const Model& model);

// x [N, T, channels] -> [N, T, heads, width]; shared keys and values are repeated for the query heads.
Tensor of_heads(const HeadSlice& slice, const Tensor& x, int64_t heads);

}  // namespace formwork
