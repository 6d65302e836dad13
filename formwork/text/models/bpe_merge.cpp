#include "formwork/text/models/bpe_merge.h"

#include <queue>

namespace formwork {
namespace {

using Merge = MergeTable::Merge;
constexpr size_t most_scanned = 48;

// Looks through all pairs for each merge: best for the words of ordinary text.
size_t merge_scanning(const MergeTable& merges, int32_t* ids, size_t count) {
  Merge next[most_scanned];  // next[i]: what ids[i] and ids[i + 1] become
  for (size_t i = 0; i + 1 < count; ++i) next[i] = merges.find(ids[i], ids[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i)
      if (next[i].rank < next[best].rank) best = i;
    if (next[best].rank == MergeTable::none) break;
    ids[best] = next[best].joined;
    --count;
    for (size_t i = best + 1; i < count; ++i) ids[i] = ids[i + 1];
    for (size_t i = best + 1; i + 1 < count; ++i) next[i] = next[i + 1];
    if (best > 0) next[best - 1] = merges.find(ids[best - 1], ids[best]);
    if (best + 1 < count) next[best] = merges.find(ids[best], ids[best + 1]);
  }
  return count;
}

// One symbol in a doubly linked list in an array.
struct Symbol {
  int32_t id;
  uint32_t previous, next;
};

struct Candidate {
  int32_t rank;
  uint32_t at;
  int32_t left, right;  // tell a stale candidate
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : at > other.at;
  }
};

size_t merge_queueing(const MergeTable& merges, int32_t* ids, size_t size) {
  const auto count = static_cast<uint32_t>(size);
  constexpr uint32_t nothing = 0xFFFFFFFF;
  std::vector<Symbol> symbols(count);
  std::vector<Candidate> start;
  for (uint32_t i = 0; i < count; ++i) symbols[i] = {ids[i], i == 0 ? nothing : i - 1, i + 1};
  for (uint32_t i = 0; i + 1 < count; ++i) {
    const Merge merge = merges.find(ids[i], ids[i + 1]);
    if (merge.rank != MergeTable::none) start.push_back({merge.rank, i, ids[i], ids[i + 1]});
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>(),
                                                                               std::move(start));
  const auto offer = [&](uint32_t at) {
    if (at == nothing || symbols[at].next >= count) return;
    const int32_t left = symbols[at].id, right = symbols[symbols[at].next].id;
    const Merge merge = merges.find(left, right);
    if (merge.rank != MergeTable::none) queue.push({merge.rank, at, left, right});
  };
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& symbol = symbols[best.at];
    if (symbol.id != best.left || symbol.next >= count || symbols[symbol.next].id != best.right) continue;
    Symbol& gone = symbols[symbol.next];
    symbol.id = merges.find(best.left, best.right).joined;
    symbol.next = gone.next;
    gone.id = -1;
    if (symbol.next < count) symbols[symbol.next].previous = best.at;
    offer(symbol.previous);
    offer(best.at);
  }
  size_t kept = 0;
  for (uint32_t at = 0; at < count; at = symbols[at].next) ids[kept++] = symbols[at].id;
  return kept;
}

}  // namespace

void merge_symbols(const MergeTable& merges, std::vector<int32_t>& ids, size_t first) {
  const size_t count = ids.size() - first;
  if (count < 2) return;
  const size_t kept = count <= most_scanned ? merge_scanning(merges, ids.data() + first, count)
                                            : merge_queueing(merges, ids.data() + first, count);
  ids.resize(first + kept);
}

}  // namespace formwork
