// Counts of neighbouring pairs in words, kept up to date while pairs are merged.
#pragma once
#include <cstddef>
#include <cstdint>
#include <queue>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace formwork {

using PiecePair = std::pair<int32_t, int32_t>;

struct CountedWord {
  std::vector<int32_t> pieces;
  int64_t count;
};

class PairCounts {
 public:
  struct Best {
    int64_t count;
    PiecePair pair;
    bool operator<(const Best& other) const {
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };

  explicit PairCounts(std::vector<CountedWord> words);

  // The most frequent pair, of equally frequent ones that of smaller ids; a count of 0 when none is left.
  Best best();

  // Replaces the pair by `joined` everywhere; costs only the words that hold it.
  void merge(PiecePair pair, int32_t joined);

 private:
  struct Entry {
    int64_t count = 0;
    std::vector<int32_t> words;
  };
  struct Hash {
    size_t operator()(const PiecePair& pair) const {
      const uint64_t key = static_cast<uint64_t>(pair.first) << 32 | static_cast<uint32_t>(pair.second);
      return key * 0x9E3779B97F4A7C15ull >> 16;
    }
  };

  void add_pairs(size_t word, int64_t count);
  void change(PiecePair pair, int64_t by, int32_t word);
  void merge_in(int32_t index, PiecePair pair, int32_t joined);

  std::vector<CountedWord> words_;
  std::unordered_map<PiecePair, Entry, Hash> entries_;
  std::priority_queue<Best> queue_;
  std::set<PiecePair> changed_;
};

}  // namespace formwork
