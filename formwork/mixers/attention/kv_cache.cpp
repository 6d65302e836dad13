#include "formwork/mixers/attention/kv_cache.h"

#include <ATen/core/grad_mode.h>

#include <cstring>

#include "formwork/core/error.h"

namespace formwork {
namespace {

// Tokens x [B, n, H, d] into all [B, H, capacity, d] from place `end` on. A step of decoding copies a few
// hundred bytes a head, so the copies are made here, without an operation's cost for each.
void copy_tokens(const Tensor& x, const Tensor& all, int64_t end) {
  const bool tracked = at::GradMode::is_enabled() && (x.requires_grad() || all.requires_grad());
  if (tracked || !x.is_cpu() || x.scalar_type() != all.scalar_type() || x.stride(3) != 1) {
    all.narrow(2, end, x.size(1)).copy_(x.transpose(1, 2));
    return;
  }
  const auto size = static_cast<int64_t>(x.element_size()), token = x.size(3) * size;
  const auto* from = static_cast<const char*>(x.const_data_ptr());
  auto* to = static_cast<char*>(all.mutable_data_ptr());
  for (int64_t b = 0; b < x.size(0); ++b)
    for (int64_t h = 0; h < x.size(2); ++h)
      for (int64_t i = 0; i < x.size(1); ++i)
        std::memcpy(to + ((b * all.size(1) + h) * all.size(2) + end + i) * token,
                    from + (b * x.stride(0) + i * x.stride(1) + h * x.stride(2)) * size,
                    static_cast<size_t>(token));
}

}  // namespace

KvCache::KvCache(const StateOptions& options, const KvCacheShape& shape)
    : window_(shape.window), reversible_(options.reversible) {
  const auto tensor_options = at::TensorOptions(options.dtype).device(options.device);
  const int64_t capacity = window_ ? std::min(options.capacity, 2 * window_) : options.capacity;
  // Zeros, since a weight of 0 times an uninitialized NaN would be NaN.
  keys_ = at::zeros({options.batch, shape.heads, capacity, shape.width}, tensor_options);
  values_ = at::zeros({options.batch, shape.heads, capacity, shape.value_width}, tensor_options);
  lengths_ = at::zeros({options.batch}, at::TensorOptions(at::kLong).device(options.device));
}

std::unique_ptr<State> KvCache::fork(const Tensor& rows) const {
  auto copy = std::unique_ptr<KvCache>(new KvCache());
  copy->keys_ = present(keys_).index_select(0, rows);
  copy->values_ = present(values_).index_select(0, rows);
  copy->lengths_ = lengths_.index_select(0, rows);
  if (before_.defined()) copy->before_ = before_.index_select(0, rows);
  copy->first_ = first_, copy->longest_ = longest_, copy->window_ = window_;
  copy->reversible_ = reversible_, copy->level_ = level_;
  for (const auto& lengths : history_) copy->history_.push_back(lengths.index_select(0, rows));
  return copy;
}

void KvCache::roll_back(int64_t appends) {
  const auto made = static_cast<int64_t>(history_.size());
  if (appends > made)
    fail("key-value cache: cannot roll back {} appends, only {} {}", appends, made,
         window_ ? "are kept (raise 'reversible')" : "were made");
  if (appends == 0) return;
  lengths_ = history_[static_cast<size_t>(made - appends)];
  history_.resize(static_cast<size_t>(made - appends));
  before_ = Tensor();
  measure();
}

void KvCache::keep(const Tensor& places, const Tensor& counts) {
  if (!before_.defined()) fail("key-value cache: there is no append of which tokens could be kept");
  const auto tokens = at::arange(places.size(1), lengths_.options());
  const auto start = (before_ - first_).unsqueeze(1);
  // Tokens that stay where they are need no copy.
  if (!places.eq(tokens).all().item<bool>())
    for (const Tensor* all : {&keys_, &values_}) {
      const auto index = [&](const Tensor& of) {
        return (start + of).view({rows(), 1, -1, 1}).expand({-1, all->size(1), -1, all->size(3)});
      };
      all->scatter_(2, index(tokens.unsqueeze(0)), all->gather(2, index(places)));
    }
  lengths_ = before_ + counts;
  measure();
}

int64_t KvCache::bytes() const { return static_cast<int64_t>(keys_.nbytes() + values_.nbytes()); }

void KvCache::measure() {
  if (lengths_.numel() == 0) return;
  longest_ = lengths_.max().item<int64_t>();
  level_ = lengths_.min().item<int64_t>() == longest_;
}

void KvCache::remember() {
  history_.push_back(lengths_);
  while (window_ && static_cast<int64_t>(history_.size()) > reversible_) history_.pop_front();
}

// Leading tokens that no query can see any more, not even after a roll-back.
int64_t KvCache::forgettable() const {
  if (!window_ || rows() == 0) return 0;
  const auto& oldest = history_.empty() ? lengths_ : history_.front();
  return std::max<int64_t>(0, oldest.min().item<int64_t>() - window_ + 1 - first_);
}

// Makes room for `tokens` beyond first_. Moving what is left to the front costs O(1) a token, since it
// happens only when at least half can go.
void KvCache::reserve(int64_t tokens) {
  const int64_t capacity = keys_.size(2);
  if (tokens <= capacity) return;
  const int64_t drop = std::min(forgettable(), longest_ - first_), kept = longest_ - first_ - drop;
  const bool in_place = drop >= kept && tokens - drop <= capacity;
  auto shape = keys_.sizes().vec();
  const int64_t needed = tokens - drop;
  shape[2] = window_ ? needed + window_ : std::max(needed, capacity + capacity / 2 + 16);
  for (Tensor* tensor : {&keys_, &values_}) {
    shape[3] = tensor->size(3);
    auto to = in_place ? *tensor : at::zeros(shape, tensor->options());
    to.narrow(2, 0, kept).copy_(tensor->narrow(2, drop, kept));
    *tensor = to;
  }
  first_ += drop;
}

void KvCache::append(const Tensor& k, const Tensor& v, const Tensor& counts) {
  if (k.size(0) != rows()) fail("key-value cache of {} rows was given {} rows", rows(), k.size(0));
  const int64_t n = k.size(1);
  remember();
  before_ = lengths_;
  reserve(longest_ + n - first_);
  const int64_t end = longest_ - first_;
  if (level_ && !counts.defined()) {
    copy_tokens(k, keys_, end);
    copy_tokens(v, values_, end);
    lengths_ = lengths_ + n;
    longest_ += n;
    return;
  }
  // Rows of unequal length: token i of row b goes to place lengths[b] + i. What lies past a row's length is
  // overwritten by its next append and never seen.
  const auto place =
      (lengths_ - first_).view({-1, 1, 1, 1}) + at::arange(n, lengths_.options()).view({-1, 1, 1});
  keys_.transpose(1, 2).scatter_(1, place.expand(k.sizes()), k.to(keys_.scalar_type()));
  values_.transpose(1, 2).scatter_(1, place.expand(v.sizes()), v.to(values_.scalar_type()));
  lengths_ = lengths_ + (counts.defined() ? counts : at::full_like(lengths_, n));
  measure();
}

}  // namespace formwork
