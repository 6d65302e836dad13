#include "formwork/text/bpe_trainer.h"

#include <nlohmann/json.hpp>
#include <queue>
#include <set>
#include <unordered_map>

#include "formwork/core/error.h"
#include "formwork/text/bpe_json.h"
#include "formwork/text/byte_level.h"
#include "formwork/text/word_split.h"

namespace formwork {
namespace {

using Pair = std::pair<int32_t, int32_t>;

struct PairHash {
  size_t operator()(const Pair& pair) const {
    const uint64_t key = static_cast<uint64_t>(pair.first) << 32 | static_cast<uint32_t>(pair.second);
    return key * 0x9E3779B97F4A7C15ull >> 16;
  }
};

struct Word {
  std::vector<int32_t> pieces;
  int64_t count;
};

struct Candidate {
  int64_t count;
  Pair pair;
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class PairCounts {
 public:
  explicit PairCounts(std::vector<Word> words) : words_(std::move(words)) {
    for (size_t i = 0; i < words_.size(); ++i) add_pairs(i, words_[i].count);
    for (const auto& [pair, entry] : entries_) queue_.push({entry.count, pair});
  }

  // The most frequent pair, or a count of 0 when none is left.
  Candidate best() {
    while (!queue_.empty()) {
      Candidate top = queue_.top();
      const int64_t count = entries_[top.pair].count;
      if (top.count == count) return top;
      queue_.pop();  // counted before words that held it changed
      if (count > 0 && count < top.count) queue_.push({count, top.pair});
    }
    return {0, {}};
  }

  void merge(Pair pair, int32_t joined) {
    const std::vector<int32_t> holders = std::move(entries_[pair].words);
    changed_.clear();
    for (int32_t word : holders) merge_in(word, pair, joined);
    entries_.erase(pair);
    for (const Pair& grown : changed_)
      if (const auto found = entries_.find(grown); found != entries_.end())
        queue_.push({found->second.count, grown});
  }

 private:
  struct Entry {
    int64_t count = 0;
    std::vector<int32_t> words;
  };

  void add_pairs(size_t word, int64_t count) {
    const std::vector<int32_t>& pieces = words_[word].pieces;
    for (size_t i = 0; i + 1 < pieces.size(); ++i) {
      Entry& entry = entries_[{pieces[i], pieces[i + 1]}];
      entry.count += count;
      if (entry.words.empty() || entry.words.back() != static_cast<int32_t>(word))
        entry.words.push_back(static_cast<int32_t>(word));
    }
  }

  void change(Pair pair, int64_t by, int32_t word) {
    Entry& entry = entries_[pair];
    entry.count += by;
    if (by < 0) return;
    if (entry.words.empty() || entry.words.back() != word) entry.words.push_back(word);
    changed_.insert(pair);
  }

  void merge_in(int32_t index, Pair pair, int32_t joined) {
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

  std::vector<Word> words_;
  std::unordered_map<Pair, Entry, PairHash> entries_;
  std::priority_queue<Candidate> queue_;
  std::set<Pair> changed_;
};

std::vector<Word> count_words(std::string_view text, const int32_t (&byte_ids)[256]) {
  std::unordered_map<std::string_view, size_t> places;
  std::vector<Word> words;
  for_each_word(WordPattern::gpt2, text, [&](std::string_view bytes) {
    const auto [place, is_new] = places.try_emplace(bytes, words.size());
    if (!is_new) {
      ++words[place->second].count;
      return;
    }
    Word word{{}, 1};
    for (unsigned char byte : bytes) word.pieces.push_back(byte_ids[byte]);
    words.push_back(std::move(word));
  });
  return words;
}

BpeModel start_model(const BpeTraining& options) {
  BpeModel model;
  for (const std::string& token : options.special) {
    if (token.empty()) fail("expected special tokens with text, found an empty one");
    if (std::find(model.tokens.begin(), model.tokens.end(), token) != model.tokens.end())
      fail("special token '{}' is named twice", token);
    model.special.push_back(static_cast<int32_t>(model.tokens.size()));
    model.tokens.push_back(token);
  }
  for (uint8_t byte : byte_alphabet()) model.tokens.emplace_back(1, static_cast<char>(byte));
  return model;
}

}  // namespace

BpeModel train_bpe_model(std::string_view text, const BpeTraining& options) {
  BpeModel model = start_model(options);
  if (options.vocab_size < static_cast<int64_t>(model.tokens.size()))
    fail("expected a BPE vocabulary of at least {} (256 bytes and {} special tokens), found {}",
         model.tokens.size(), model.special.size(), options.vocab_size);
  int32_t byte_ids[256];
  for (size_t i = 0; i < 256; ++i)
    byte_ids[byte_alphabet()[i]] = static_cast<int32_t>(model.special.size() + i);
  PairCounts counts(count_words(text, byte_ids));
  std::unordered_map<std::string, int32_t> ids;
  for (size_t id = model.special.size(); id < model.tokens.size(); ++id) ids[model.tokens[id]] = id;
  while (static_cast<int64_t>(model.tokens.size()) < options.vocab_size) {
    const Candidate best = counts.best();
    if (best.count < std::max<int64_t>(options.min_count, 1)) break;
    const std::string bytes = model.tokens[best.pair.first] + model.tokens[best.pair.second];
    // Two ways of cutting the same bytes (a+bc, ab+c) make one token.
    const auto [place, is_new] = ids.try_emplace(bytes, static_cast<int32_t>(model.tokens.size()));
    if (is_new) model.tokens.push_back(bytes);
    model.merges.push_back(best.pair);
    counts.merge(best.pair, place->second);
  }
  return model;
}

std::unique_ptr<Tokenizer> train_bpe(std::string_view text, const BpeTraining& options) {
  return tokenizer_from_json(bpe_model_to_json(train_bpe_model(text, options)), "a trained tokenizer");
}

}  // namespace formwork
