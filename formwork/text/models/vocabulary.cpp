#include "formwork/text/models/vocabulary.h"

#include "formwork/core/error.h"
#include "formwork/text/models/hash.h"

namespace formwork {

void Vocabulary::reserve(size_t tokens, size_t bytes) {
  expected_ = tokens;
  spans_.reserve(tokens);
  block_.reserve(bytes);
  if (slots_.size() < 2 * tokens) slots_.resize(table_size(2 * tokens));
}

void Vocabulary::grow() {
  std::vector<Slot> old(slots_.empty() ? 64 : 2 * slots_.size());
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.id < 0) continue;
    size_t at = slot.hash & mask;
    while (slots_[at].id >= 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

Vocabulary::Slot& Vocabulary::slot_of(std::string_view text, uint64_t hash) {
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at].id >= 0 &&
         (slots_[at].hash != static_cast<uint32_t>(hash) || this->text(slots_[at].id) != text))
    at = (at + 1) & mask;
  return slots_[at];
}

void Vocabulary::add(int64_t id, std::string_view text, std::string_view where) {
  const auto limit = static_cast<int64_t>(4 * std::max(expected_, count_) + 4096);
  if (id < 0 || id >= limit) fail("{}: expected a token id in [0, {}), found {}", where, limit, id);
  if (block_.size() + text.size() >= hole) fail("{}: the tokens have more than 4 GB of text", where);
  if (id >= size()) spans_.resize(id + 1);
  if (has(id)) {
    if (this->text(id) != text) fail("{}: token id {} is used twice", where, id);
    return;
  }
  spans_[id] = {static_cast<uint32_t>(block_.size()), static_cast<uint32_t>(text.size())};
  block_ += text;
  ++count_;
  if (2 * count_ > slots_.size()) grow();
  const uint64_t hash = hash_bytes(text);
  slot_of(text, hash) = {static_cast<uint32_t>(hash), static_cast<int32_t>(id)};
}

int32_t Vocabulary::find(std::string_view text) const {
  if (slots_.empty()) return -1;
  return const_cast<Vocabulary*>(this)->slot_of(text, hash_bytes(text)).id;
}

std::string_view Vocabulary::text(int64_t id) const {
  return has(id) ? std::string_view(block_).substr(spans_[id].start, spans_[id].length) : std::string_view();
}

bool Vocabulary::has(int64_t id) const { return id >= 0 && id < size() && spans_[id].length != hole; }

}  // namespace formwork
