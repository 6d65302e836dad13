// Gives a decoder the maps of hidden transfer (tap/transfer.h): draft i = 1 .. k enters after block t_i, 0
// being the embedding, with t_1 <= .. <= t_k. The model's own parameters are frozen, and without anchors it
// does what it did. Train the maps on the task 'draft_text'; the decode strategy 'hidden_transfer' uses them.
// Source: Parallel Decoding via Hidden Transfer for Lossless Large Language Model Acceleration (2024).
#pragma once
#include "formwork/train/trainer.h"
#include "formwork/transforms/transform.h"

namespace formwork {

struct HiddenTransferOptions {
  int64_t k = 3;
  std::vector<double> layers;  // t_1 .. t_k, or one for all; empty: round(0.5 L)
  std::string map = "linear";
  void describe(Fields& f);
};

// The attach table's entries, tap to part, for a model of these blocks. Throws Error for a block past the
// last, and for blocks that decrease.
Json transfer_entries(const Inventory& inventory, const HiddenTransferOptions& options);

struct TrainedTransfers {
  std::shared_ptr<Model> model;  // its own parameters are still frozen
  Metrics evaluation;            // after the last run
};
// Trains the maps of a model that has them on a task 'draft_text' with `task` as its options: all at once
// (order "joint"), or each alone with the earlier ones frozen ("sequential"), options.steps for each.
TrainedTransfers train_transfers(const std::shared_ptr<Model>& model, const Json& task,
                                 const TrainOptions& options, const std::string& order);

}  // namespace formwork
