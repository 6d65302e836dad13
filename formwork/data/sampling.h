// Which rows train, in what order, and as which padded batches.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace formwork {

struct RowSplit {
  std::vector<int64_t> train, validation;  // row numbers, each sorted; together every row once
};

// round(rows * validation_fraction) rows, chosen at random from `seed`, validate.
// Throws Error when the fraction is not in [0, 1) or no row is left to train.
RowSplit split_rows(int64_t rows, double validation_fraction, uint64_t seed);

// The rows in the order of an epoch; depends only on (seed, epoch).
std::vector<int64_t> epoch_order(std::vector<int64_t> rows, uint64_t seed, int64_t epoch);

// The rows of training steps, epoch after epoch; the last batch of an epoch may be shorter.
class EpochRows {
 public:
  // Of `rows`, always the same, those of a step: a function of (seed, step).
  std::vector<int64_t> of_step(const std::vector<int64_t>& rows, int64_t batch, uint64_t seed, int64_t step);

 private:
  std::pair<uint64_t, int64_t> epoch_{0, -1};  // (seed, epoch) of order_
  std::vector<int64_t> order_;
};

// The rows in runs of `batch`; the last run may be shorter.
std::vector<std::vector<int64_t>> in_batches(const std::vector<int64_t>& rows, int64_t batch);

struct LabelledBatch {
  at::Tensor tokens;   // [B, T] int64, T = longest row, at least 1
  at::Tensor lengths;  // [B] int64
  at::Tensor labels;   // [B] int64
};

// Rows `chosen` of `encoded`, cut to at most max_length tokens and padded with pad_id on the right.
// Throws Error for a row number that does not exist.
LabelledBatch padded_batch(const std::vector<std::vector<int64_t>>& encoded,
                           const std::vector<int64_t>& labels, const std::vector<int64_t>& chosen,
                           int64_t max_length, int64_t pad_id);

}  // namespace formwork
