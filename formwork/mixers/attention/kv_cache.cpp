#include "formwork/mixers/attention/kv_cache.h"

#include "formwork/core/error.h"

namespace formwork {

KvCache::KvCache(const StateOptions& options, int64_t heads, int64_t width) {
  const auto tensor_options = at::TensorOptions(options.dtype).device(options.device);
  keys_ = at::empty({options.batch, options.capacity, heads, width}, tensor_options);
  values_ = at::empty_like(keys_);
  lengths_ = at::zeros({options.batch}, at::TensorOptions(at::kLong).device(options.device));
}

std::unique_ptr<State> KvCache::fork(const Tensor& rows) const {
  auto copy = std::unique_ptr<KvCache>(new KvCache());
  copy->keys_ = keys_.index_select(0, rows);
  copy->values_ = values_.index_select(0, rows);
  copy->lengths_ = lengths_.index_select(0, rows);
  copy->longest_ = longest_;
  for (const auto& lengths : history_) copy->history_.push_back(lengths.index_select(0, rows));
  return copy;
}

void KvCache::roll_back(int64_t appends) {
  if (appends > static_cast<int64_t>(history_.size()))
    fail("key-value cache: cannot roll back {} appends, only {} were made", appends, history_.size());
  for (; appends > 0; --appends) {
    lengths_ = history_.back();
    history_.pop_back();
  }
  longest_ = lengths_.numel() ? lengths_.max().item<int64_t>() : 0;
}

int64_t KvCache::bytes() const { return static_cast<int64_t>(keys_.nbytes() + values_.nbytes()); }

void KvCache::reserve(int64_t tokens) {
  const int64_t capacity = keys_.size(1);
  if (tokens <= capacity) return;
  auto shape = keys_.sizes().vec();
  shape[1] = std::max(tokens, capacity + capacity / 2 + 16);
  for (Tensor* tensor : {&keys_, &values_}) {
    auto grown = at::empty(shape, tensor->options());
    grown.narrow(1, 0, longest_).copy_(tensor->narrow(1, 0, longest_));
    *tensor = grown;
  }
}

void KvCache::append(const Tensor& k, const Tensor& v, const Tensor& counts) {
  if (k.size(0) != rows()) fail("key-value cache of {} rows was given {} rows", rows(), k.size(0));
  const int64_t n = k.size(1);
  history_.push_back(lengths_);
  const bool level = !counts.defined() && (rows() == 0 || lengths_.eq(longest_).all().item<bool>());
  reserve(longest_ + n);
  if (level) {
    keys_.narrow(1, longest_, n).copy_(k);
    values_.narrow(1, longest_, n).copy_(v);
    lengths_ = lengths_ + n;
    longest_ += n;
    return;
  }
  // Rows of unequal length: token i of row b goes to place lengths[b] + i. What lies past a row's length is
  // overwritten by its next append and never seen.
  auto place =
      (lengths_.unsqueeze(1) + at::arange(n, lengths_.options()).unsqueeze(0)).unsqueeze(-1).unsqueeze(-1);
  place = place.expand(k.sizes());
  keys_.scatter_(1, place, k.to(keys_.scalar_type()));
  values_.scatter_(1, place, v.to(values_.scalar_type()));
  lengths_ = lengths_ + (counts.defined() ? counts : at::full_like(lengths_, n));
  longest_ = lengths_.max().item<int64_t>();
}

}  // namespace formwork
