#include "formwork/mixers/recurrent/recurrent_state.h"

#include "formwork/core/error.h"

namespace formwork {
namespace {

std::vector<Tensor> select_rows(const std::vector<Tensor>& values, const Tensor& rows) {
  std::vector<Tensor> selected;
  for (const auto& value : values) selected.push_back(value.index_select(0, rows));
  return selected;
}

int64_t bytes_of(const std::vector<Tensor>& values) {
  int64_t total = 0;
  for (const auto& value : values) total += static_cast<int64_t>(value.nbytes());
  return total;
}

}  // namespace

std::unique_ptr<State> RecurrentState::fork(const Tensor& rows) const {
  auto copy = std::make_unique<RecurrentState>(select_rows(values_, rows), reversible_);
  for (const auto& values : history_) copy->history_.push_back(select_rows(values, rows));
  return copy;
}

void RecurrentState::roll_back(int64_t appends) {
  if (appends > static_cast<int64_t>(history_.size()))
    fail("recurrent state: cannot roll back {} appends, {} are kept (made with reversible = {})", appends,
         history_.size(), reversible_);
  for (; appends > 0; --appends) {
    values_ = std::move(history_.back());
    history_.pop_back();
  }
}

int64_t RecurrentState::bytes() const {
  int64_t total = bytes_of(values_);
  for (const auto& values : history_) total += bytes_of(values);
  return total;
}

void RecurrentState::check_rows(const std::string& path, const Tensor& x) const {
  if (x.size(0) != values_.front().size(0))
    fail("{}: the state has {} rows, the input {}", path, values_.front().size(0), x.size(0));
}

void RecurrentState::advance(std::vector<Tensor> next) {
  if (reversible_ > 0) {
    history_.push_back(std::move(values_));
    if (static_cast<int64_t>(history_.size()) > reversible_) history_.pop_front();
  }
  values_ = std::move(next);
}

}  // namespace formwork
