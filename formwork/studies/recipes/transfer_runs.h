// Runs of hidden transfer that its recipe is made of.
#pragma once
#include "formwork/studies/study.h"

namespace formwork {

inline constexpr int64_t kTransferDrafts = 3;

// Prompts of which every token is that of greedy decoding, as a share, by tree: a decoder of 4 layers of
// width 64 with random weights in float64, random maps, `prompts` of 8 tokens, 32 tokens each.
Json transfer_exactness(uint64_t seed, int64_t prompts);

// A model with maps after block `layer`, or after `layers` blocks where there are several.
std::shared_ptr<Model> with_transfers(const std::shared_ptr<Model>& model, int64_t layer);

// What greedy decoding of 32 tokens after each prompt [N, T] takes in batches of `batch` rows: {"tokens a
// pass", "same": the share of prompts with the tokens of greedy decoding}.
Json passes_of(Model& model, const Tensor& prompts, int64_t batch, const Json& tree);

// Seconds of a pass of one token after 64, by a decoder of width 512 with random weights: alone, with 3
// drafts that enter after half of its 8 blocks, and with 3 that enter at once: {"alone", "half", "all"}.
Json transfer_seconds(uint64_t seed, int64_t rounds);

}  // namespace formwork
