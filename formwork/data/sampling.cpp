#include "formwork/data/sampling.h"

#include "formwork/core/error.h"
#include "formwork/data/random.h"

namespace formwork {

RowSplit split_rows(int64_t rows, double validation_fraction, uint64_t seed) {
  if (!(validation_fraction >= 0 && validation_fraction < 1))
    fail("expected a validation fraction in [0, 1), found {}", validation_fraction);
  const int64_t held_out = std::llround(static_cast<double>(rows) * validation_fraction);
  if (rows - held_out < 1) fail("expected rows to train on, found {} with {} held out", rows, held_out);
  const std::vector<int64_t> order = Random{seed}.permutation(rows);
  RowSplit split{{order.begin() + held_out, order.end()}, {order.begin(), order.begin() + held_out}};
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.validation.begin(), split.validation.end());
  return split;
}

std::vector<int64_t> epoch_order(std::vector<int64_t> rows, uint64_t seed, int64_t epoch) {
  Random{seed, static_cast<uint64_t>(epoch)}.shuffle(rows);
  return rows;
}

std::vector<int64_t> EpochRows::of_step(const std::vector<int64_t>& rows, int64_t batch, uint64_t seed,
                                        int64_t step) {
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t an_epoch = (count + batch - 1) / batch, epoch = step / an_epoch;
  if (epoch_ != std::pair(seed, epoch)) {
    order_ = epoch_order(rows, seed, epoch);
    epoch_ = {seed, epoch};
  }
  const int64_t first = step % an_epoch * batch;
  return {order_.begin() + first, order_.begin() + std::min(first + batch, count)};
}

std::vector<std::vector<int64_t>> in_batches(const std::vector<int64_t>& rows, int64_t batch) {
  if (batch < 1) fail("expected a batch of at least 1, found {}", batch);
  std::vector<std::vector<int64_t>> batches;
  for (size_t start = 0; start < rows.size(); start += batch)
    batches.emplace_back(rows.begin() + start, rows.begin() + std::min(rows.size(), start + batch));
  return batches;
}

LabelledBatch padded_batch(const std::vector<std::vector<int64_t>>& encoded,
                           const std::vector<int64_t>& labels, const std::vector<int64_t>& chosen,
                           int64_t max_length, int64_t pad_id) {
  if (max_length < 1) fail("expected a length of at least 1, found {}", max_length);
  if (encoded.size() != labels.size())
    fail("expected a label for each of {} rows, found {}", encoded.size(), labels.size());
  int64_t width = 1;
  for (int64_t row : chosen) {
    if (row < 0 || row >= static_cast<int64_t>(encoded.size()))
      fail("expected a row in [0, {}), found {}", encoded.size(), row);
    width = std::max(width, std::min<int64_t>(max_length, encoded[row].size()));
  }
  const auto rows = static_cast<int64_t>(chosen.size());
  LabelledBatch batch{at::full({rows, width}, pad_id, at::kLong), at::empty({rows}, at::kLong),
                      at::empty({rows}, at::kLong)};
  for (int64_t i = 0; i < rows; ++i) {
    const std::vector<int64_t>& ids = encoded[chosen[i]];
    const int64_t length = std::min<int64_t>(width, ids.size());
    std::copy_n(ids.begin(), length, batch.tokens.mutable_data_ptr<int64_t>() + i * width);
    batch.lengths.mutable_data_ptr<int64_t>()[i] = length;
    batch.labels.mutable_data_ptr<int64_t>()[i] = labels[chosen[i]];
  }
  return batch;
}

}  // namespace formwork
