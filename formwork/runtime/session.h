// Token by token: a model, the states of some sequences, and working memory that is allocated once.
//
// What a sequence gives does not depend on the others or on how many share a pass: every sum has one order.
// Nor does it depend on how its tokens are cut into calls of less than `kManyTokens`; where AMX multiplies
// longer ones, their sums have an order of their own.
#pragma once
#include <span>
#include <vector>

#include "formwork/runtime/model.h"

namespace formwork::runtime {

// From so many tokens of one sequence on, products of whole matrices beat those of few rows.
inline constexpr int64_t kManyTokens = 32;

struct SessionOptions {
  StateOptions state;
  int64_t most_rows = 512;  // tokens of a pass; more are cut into several
};

// Tokens to add to a sequence; at least one.
struct Append {
  int64_t row;
  std::span<const int64_t> ids;
};

class Session {
 public:
  Session(const Model& model, const SessionOptions& options);

  // Adds tokens to sequences, each at most once. Logits [appends.size(), outputs] of the last token of each,
  // valid until the next call. Tokens outside the vocabulary leave the sequences as they were.
  const float* append(std::span<const Append> appends);
  // The same, with logits [count, outputs] of every token of one sequence written to `logits`.
  void append_all(const Append& append, float* logits);

  int64_t length(int64_t row) const { return lengths_[static_cast<size_t>(row)]; }
  int64_t rows() const { return static_cast<int64_t>(lengths_.size()); }
  // Forgets all but the first `tokens` tokens of a sequence.
  void truncate(int64_t row, int64_t tokens);
  // Sequence i is from now on a copy of what sequence rows[i] was.
  void select(const std::vector<int64_t>& rows);

  const Model& model() const { return model_; }
  int64_t bytes() const;  // of states and working memory

 private:
  void check(std::span<const Append> appends) const;
  int64_t fill(std::span<const Append> appends);
  void take(const Append& append, int64_t count, int64_t& taken);
  void run_pass();
  void sort_logits(std::span<const Append> appends);
  void measure();

  const Model& model_;
  Arena arena_;
  std::vector<std::unique_ptr<State>> states_;
  std::vector<int64_t> lengths_, ids_, positions_;
  std::vector<int64_t> taken_;  // tokens of each append so far
  std::vector<size_t> filled_;  // the append of each sequence of the pass
  std::vector<size_t> ended_;   // appends in the order in which they ended
  std::vector<Sequence> sequences_;
  Floats stream_, spare_;
  std::vector<float> logits_, sorted_;
  Stream now_{};
  int64_t pass_rows_ = 0;
  bool many_ = false;
};

}  // namespace formwork::runtime
