// Numbers that a mixer carries for each sequence, and what they were before the last passes.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "formwork/core/error.h"
#include "formwork/runtime/state.h"

namespace formwork::runtime {

class RecurrentMemory final : public State {
 public:
  // `size` floats for each sequence, zero at first.
  RecurrentMemory(int64_t size, const StateOptions& options)
      : size_(static_cast<size_t>(size)), kept_(static_cast<size_t>(options.reversible)) {
    rows_.assign(static_cast<size_t>(options.rows), fresh());
  }

  // The numbers of a sequence that has seen `tokens`, which are about to change.
  float* change(int64_t row, int64_t tokens) {
    Row& r = rows_[static_cast<size_t>(row)];
    if (kept_ > 0) {
      Snapshot& oldest = r.past[r.next++ % kept_];
      oldest.tokens = tokens;
      oldest.values = r.values;
    }
    return r.values.data();
  }
  float* now(int64_t row) { return rows_[static_cast<size_t>(row)].values.data(); }
  void select(const std::vector<int64_t>& rows) override {
    std::vector<Row> chosen;
    for (const int64_t row : rows) chosen.push_back(rows_[static_cast<size_t>(row)]);
    rows_ = std::move(chosen);
  }
  void truncate(int64_t row, int64_t tokens) override {
    Row& r = rows_[static_cast<size_t>(row)];
    if (tokens == 0) {
      r = fresh();
      return;
    }
    bool found = false;
    for (auto& snapshot : r.past) {
      if (snapshot.tokens == tokens) r.values = snapshot.values, found = true;
      // What came after happened to a sequence that is no more.
      if (snapshot.tokens >= tokens) snapshot.tokens = -1;
    }
    if (found) return;
    fail("recurrent state: what it was after {} tokens is not kept (raise 'reversible')", tokens);
  }
  int64_t bytes() const override {
    return static_cast<int64_t>(rows_.size() * size_ * (kept_ + 1) * sizeof(float));
  }

 private:
  struct Snapshot {
    int64_t tokens = -1;
    std::vector<float> values;
  };
  struct Row {
    std::vector<float> values;
    std::vector<Snapshot> past;  // a ring
    size_t next = 0;
  };
  Row fresh() const {
    const std::vector<float> zeros(size_);
    return {zeros, std::vector<Snapshot>(kept_, Snapshot{-1, zeros}), 0};
  }

  size_t size_, kept_;
  std::vector<Row> rows_;
};

}  // namespace formwork::runtime
