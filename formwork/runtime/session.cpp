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
  filled_.reserve(ids_.size());
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
  Pass pass{arena_, pass_rows_, sequences_, ids_.data(), positions_.data(), many_};
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

void Session::take(const Append& append, int64_t count, int64_t& taken) {
  const int64_t start = lengths_[static_cast<size_t>(append.row)];
  sequences_.push_back({append.row, pass_rows_, count, start});
  for (int64_t t = 0; t < count; ++t) {
    ids_[static_cast<size_t>(pass_rows_ + t)] = append.ids[static_cast<size_t>(taken + t)];
    positions_[static_cast<size_t>(pass_rows_ + t)] = start + t;
  }
  pass_rows_ += count, taken += count;
}

// Takes the next tokens of the appends, in order, until the pass is full; how many appends it ended. Whether
// a sequence adds many tokens, and which, depends on nothing but its own: it adds as many as a pass may have,
// or all that are left, and those that add many do not share a pass with others.
int64_t Session::fill(std::span<const Append> appends) {
  sequences_.clear(), filled_.clear();
  pass_rows_ = 0;
  int64_t ended = 0;
  for (size_t i = 0; i < appends.size(); ++i) {
    const auto left = static_cast<int64_t>(appends[i].ids.size()) - taken_[i];
    const int64_t count = std::min(left, arena_.most_rows());
    const bool many = count >= kManyTokens;
    if (sequences_.empty()) many_ = many;
    if (count == 0 || many != many_ || count > arena_.most_rows() - pass_rows_) continue;
    filled_.push_back(i);
    take(appends[i], count, taken_[i]);
    if (count < left) continue;
    ended_.push_back(i);
    ++ended;
  }
  return ended;
}

const float* Session::append(std::span<const Append> appends) {
  check(appends);
  const auto count = static_cast<int64_t>(appends.size()), outputs = model_.outputs();
  const auto needed = static_cast<size_t>(count * outputs);
  if (logits_.size() < needed) logits_.resize(needed);
  taken_.assign(appends.size(), 0);
  ended_.clear();
  for (int64_t done = 0; done < count;) {
    const int64_t ended = fill(appends);
    run_pass();
    // The last rows of what ended, one after another.
    float* last = now_.spare;
    for (size_t s = 0; s < sequences_.size(); ++s) {
      const auto& sequence = sequences_[s];
      lengths_[static_cast<size_t>(sequence.row)] += sequence.count;
      if (taken_[filled_[s]] < static_cast<int64_t>(appends[filled_[s]].ids.size())) continue;
      std::copy_n(now_.x + (sequence.first + sequence.count - 1) * now_.width, now_.width, last);
      last += now_.width;
    }
    Pass pass{arena_, ended, {}, nullptr, nullptr};
    model_.logits(pass, ended, now_.spare, logits_.data() + done * outputs);
    done += ended;
  }
  if (!std::is_sorted(ended_.begin(), ended_.end())) sort_logits(appends);
  return logits_.data();
}

// From the order in which appends ended to their own.
void Session::sort_logits(std::span<const Append> appends) {
  const int64_t outputs = model_.outputs();
  sorted_.resize(std::max(sorted_.size(), appends.size() * static_cast<size_t>(outputs)));
  for (size_t i = 0; i < ended_.size(); ++i)
    std::copy_n(logits_.data() + static_cast<int64_t>(i) * outputs, outputs,
                sorted_.data() + static_cast<int64_t>(ended_[i]) * outputs);
  logits_.swap(sorted_);
}

void Session::append_all(const Append& append, float* logits) {
  check({&append, 1});
  taken_.assign(1, 0);
  ended_.clear();
  for (bool ended = false; !ended;) {
    ended = fill({&append, 1}) == 1;
    run_pass();
    lengths_[static_cast<size_t>(append.row)] += pass_rows_;
    Pass pass{arena_, pass_rows_, {}, nullptr, nullptr, many_};
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
