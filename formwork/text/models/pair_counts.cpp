#include "formwork/text/models/pair_counts.h"

namespace formwork {

PairCounts::PairCounts(std::vector<CountedWord> words) : words_(std::move(words)) {
  for (size_t i = 0; i < words_.size(); ++i) add_pairs(i, words_[i].count);
  for (const auto& [pair, entry] : entries_) queue_.push({entry.count, pair});
}

PairCounts::Best PairCounts::best() {
  while (!queue_.empty()) {
    Best top = queue_.top();
    const int64_t count = entries_[top.pair].count;
    if (top.count == count) return top;
    queue_.pop();  // counted before words that held it changed
    if (count > 0 && count < top.count) queue_.push({count, top.pair});
  }
  return {0, {}};
}

void PairCounts::merge(PiecePair pair, int32_t joined) {
  const std::vector<int32_t> holders = std::move(entries_[pair].words);
  changed_.clear();
  for (int32_t word : holders) merge_in(word, pair, joined);
  entries_.erase(pair);
  for (const PiecePair& grown : changed_)
    if (const auto found = entries_.find(grown); found != entries_.end())
      queue_.push({found->second.count, grown});
}

void PairCounts::add_pairs(size_t word, int64_t count) {
  const std::vector<int32_t>& pieces = words_[word].pieces;
  for (size_t i = 0; i + 1 < pieces.size(); ++i) {
    Entry& entry = entries_[{pieces[i], pieces[i + 1]}];
    entry.count += count;
    if (entry.words.empty() || entry.words.back() != static_cast<int32_t>(word))
      entry.words.push_back(static_cast<int32_t>(word));
  }
}

void PairCounts::change(PiecePair pair, int64_t by, int32_t word) {
  Entry& entry = entries_[pair];
  entry.count += by;
  if (by < 0) return;
  if (entry.words.empty() || entry.words.back() != word) entry.words.push_back(word);
  changed_.insert(pair);
}

void PairCounts::merge_in(int32_t index, PiecePair pair, int32_t joined) {
  std::vector<int32_t>& pieces = words_[index].pieces;
  const int64_t count = words_[index].count;
  size_t kept = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i + 1 >= pieces.size() || pieces[i] != pair.first || pieces[i + 1] != pair.second) {
      pieces[kept++] = pieces[i];
      continue;
    }
    if (kept > 0) {
      change({pieces[kept - 1], pair.first}, -count, index);
      change({pieces[kept - 1], joined}, count, index);
    }
    if (i + 2 < pieces.size()) {
      change({pair.second, pieces[i + 2]}, -count, index);
      change({joined, pieces[i + 2]}, count, index);
    }
    pieces[kept++] = joined;
    ++i;
  }
  pieces.resize(kept);
}

}  // namespace formwork
