#include "formwork/runtime/session.h"

#include <algorithm>
#include <numeric>

#include "formwork/core/error.h"

namespace formwork::runtime {

Session::Session(const Model& model, const SessionOptions& options)
    : model_(model),
      arena_(options.most_rows),
      states_(model.make_states(options.state)),
      lengths_(static_cast<size_t>(options.state.rows)),
      ids_(static_cast<size_t>(options.most_rows)),
      positions_(ids_.size()),
      stream_(make_floats(options.most_rows * model.widest())),
      spare_(make_floats(options.most_rows * model.widest())) {
  if (options.most_rows < 1)
    fail("session: expected room for at least one token, found {}", options.most_rows);
  sequences_.reserve(ids_.size());
  measure();
}

// One pass over nothing says how much working memory a pass takes.
void Session::measure() {
  run_pass();
  Pass pass{arena_};
  model_.logits(pass, 0, now_.x, nullptr);
  arena_.allocate();
}

void Session::run_pass() {
  Pass pass{arena_, pass_rows_, sequences_, ids_.data(), positions_.data()};
  now_ = {stream_.get(), spare_.get(), 0};
  model_.run(pass, states_, now_);
}

void Session::check(std::span<const Append> appends) const {
  for (const auto& append : appends) {
    if (append.row < 0 || append.row >= rows()) fail("append: sequence {} of {}", append.row, rows());
    if (append.ids.empty()) fail("append: expected at least one token");
    for (const int64_t id : append.ids)
      if (id < 0 || id >= model_.vocab())
        fail("append: token id {} is outside the vocabulary of {}", id, model_.vocab());
  }
}

// Takes the next tokens of the appends, in order, until the pass is full; how many appends it ended.
int64_t Session::fill(std::span<const Append> appends, std::vector<int64_t>& taken) {
  sequences_.clear();
  pass_rows_ = 0;
  int64_t ended = 0;
  for (size_t i = 0; i < appends.size(); ++i) {
    const auto left = static_cast<int64_t>(appends[i].ids.size()) - taken[i];
    const int64_t count = std::min(left, arena_.most_rows() - pass_rows_);
    if (left == 0 || count == 0) continue;
    const int64_t start = lengths_[static_cast<size_t>(appends[i].row)];
    sequences_.push_back({appends[i].row, pass_rows_, count, start});
    for (int64_t t = 0; t < count; ++t) {
      ids_[static_cast<size_t>(pass_rows_ + t)] = appends[i].ids[static_cast<size_t>(taken[i] + t)];
      positions_[static_cast<size_t>(pass_rows_ + t)] = start + t;
    }
    pass_rows_ += count, taken[i] += count;
    ended += count == left;
  }
  return ended;
}

const float* Session::append(std::span<const Append> appends) {
  check(appends);
  const auto count = static_cast<int64_t>(appends.size()), outputs = model_.outputs();
  const auto needed = static_cast<size_t>(count * outputs);
  if (logits_.size() < needed) logits_.resize(needed);
  taken_.assign(appends.size(), 0);
  // The last rows of what ended, one after another; at most as many as a pass has rows.
  int64_t done = 0;
  while (done < count) {
    const int64_t ended = fill(appends, taken_);
    run_pass();
    float* last = now_.spare;
    int64_t found = 0;
    for (const auto& sequence : sequences_) {
      lengths_[static_cast<size_t>(sequence.row)] += sequence.count;
      if (found == ended) continue;
      const int64_t row = sequence.first + sequence.count - 1;
      std::copy_n(now_.x + row * now_.width, now_.width, last + found++ * now_.width);
    }
    Pass pass{arena_, ended, {}, nullptr, nullptr};
    model_.logits(pass, ended, last, logits_.data() + done * outputs);
    done += ended;
  }
  return logits_.data();
}

void Session::append_all(const Append& append, float* logits) {
  check({&append, 1});
  taken_.assign(1, 0);
  for (bool ended = false; !ended;) {
    ended = fill({&append, 1}, taken_) == 1;
    run_pass();
    lengths_[static_cast<size_t>(append.row)] += pass_rows_;
    Pass pass{arena_, pass_rows_, {}, nullptr, nullptr};
    model_.logits(pass, pass_rows_, now_.x, logits);
    logits += pass_rows_ * model_.outputs();
  }
}

void Session::truncate(int64_t row, int64_t tokens) {
  if (row < 0 || row >= rows()) fail("truncate: sequence {} of {}", row, rows());
  auto& length = lengths_[static_cast<size_t>(row)];
  if (tokens < 0 || tokens > length) fail("truncate: expected 0 to {} tokens, found {}", length, tokens);
  if (tokens == length) return;
  for (const auto& state : states_)
    if (state) state->truncate(row, tokens);
  length = tokens;
}

void Session::select(const std::vector<int64_t>& rows) {
  std::vector<int64_t> lengths;
  for (const int64_t row : rows) {
    if (row < 0 || row >= this->rows()) fail("select: sequence {} of {}", row, this->rows());
    lengths.push_back(length(row));
  }
  for (const auto& state : states_)
    if (state) state->select(rows);
  lengths_ = std::move(lengths);
}

int64_t Session::bytes() const {
  int64_t total = arena_.bytes() + 2 * arena_.most_rows() * model_.widest() * 4;
  for (const auto& state : states_)
    if (state) total += state->bytes();
  return total;
}

}  // namespace formwork::runtime
