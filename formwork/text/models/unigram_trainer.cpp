#include "formwork/text/models/unigram_trainer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "formwork/core/error.h"
#include "formwork/text/models/bpe_json.h"
#include "formwork/text/models/byte_trie.h"
#include "formwork/text/models/word_counts.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

using nlohmann::json;
using Words = std::vector<std::pair<std::string, int64_t>>;

struct Piece {
  std::string text;
  double score;  // log probability; before the first estimate a count
  bool is_character;
};

constexpr double nothing = -1e30;

double log_sum(double a, double b) {
  const double high = std::max(a, b), low = std::min(a, b);
  return low <= nothing ? high : high + std::log1p(std::exp(low - high));
}

// Derivative of log gamma, x > 0 (Abramowitz and Stegun, 6.3.5 and 6.3.18).
double digamma(double x) {
  double result = 0;
  for (; x < 7; ++x) result -= 1 / x;
  const double inverse = 1 / x, square = inverse * inverse;
  return result + std::log(x) - inverse / 2 - square * (1.0 / 12 - square * (1.0 / 120 - square / 252));
}

ByteTrie trie_of(const std::vector<Piece>& pieces) {
  ByteTrie trie;
  for (size_t i = 0; i < pieces.size(); ++i) trie.add(pieces[i].text, static_cast<int32_t>(i));
  return trie;
}

// Substrings that occur at least twice, by count x length, and every character.
std::vector<Piece> seeds(const Words& words, const UnigramTraining& options) {
  std::unordered_map<std::string_view, int64_t> counts;
  std::map<std::string, int64_t> characters;
  for (const auto& [word, count] : words) {
    std::vector<size_t> starts;
    for (size_t at = 0; at < word.size(); at += next_code_point(word, at).bytes) starts.push_back(at);
    starts.push_back(word.size());
    const size_t last = starts.size() - 1;
    for (size_t i = 0; i < last; ++i) {
      characters[word.substr(starts[i], starts[i + 1] - starts[i])] += count;
      for (size_t j = i + 2; j <= std::min(last, i + static_cast<size_t>(options.longest)); ++j)
        counts[std::string_view(word).substr(starts[i], starts[j] - starts[i])] += count;
    }
  }
  std::vector<Piece> longer;
  for (const auto& [text, count] : counts)
    if (count >= 2) longer.push_back({std::string(text), static_cast<double>(count), false});
  const auto weight = [](const Piece& piece) { return piece.score * static_cast<double>(piece.text.size()); };
  std::sort(longer.begin(), longer.end(), [&](const Piece& a, const Piece& b) {
    return weight(a) != weight(b) ? weight(a) > weight(b) : a.text < b.text;
  });
  const size_t most = std::max<size_t>(static_cast<size_t>(options.vocab_size) * 10, 10000);
  if (longer.size() > most) longer.resize(most);
  std::vector<Piece> pieces;
  for (const auto& [text, count] : characters) pieces.push_back({text, static_cast<double>(count), true});
  pieces.insert(pieces.end(), longer.begin(), longer.end());
  double total = 0;
  for (const Piece& piece : pieces) total += piece.score;
  for (Piece& piece : pieces) piece.score = std::log(piece.score / total);
  return pieces;
}

// One step of expectation maximization: expected counts by the forward-backward sums over all ways to cut
// each word, then scores digamma(count) - digamma(total), which favour few pieces; rare ones are dropped.
std::vector<Piece> reestimated(const std::vector<Piece>& pieces, const Words& words) {
  const ByteTrie trie = trie_of(pieces);
  std::vector<double> expected(pieces.size());
  std::vector<double> before, after;
  for (const auto& entry : words) {
    const std::string& word = entry.first;
    const auto count = static_cast<double>(entry.second);
    before.assign(word.size() + 1, nothing);
    after.assign(word.size() + 1, nothing);
    before[0] = after[word.size()] = 0;
    for (size_t at = 0; at < word.size(); ++at) {
      if (before[at] <= nothing) continue;
      trie.prefixes(word, at, [&](size_t length, int32_t piece) {
        before[at + length] = log_sum(before[at + length], before[at] + pieces[piece].score);
      });
    }
    for (size_t at = word.size(); at-- > 0;)
      trie.prefixes(word, at, [&](size_t length, int32_t piece) {
        if (after[at + length] > nothing)
          after[at] = log_sum(after[at], after[at + length] + pieces[piece].score);
      });
    for (size_t at = 0; at < word.size(); ++at) {
      if (before[at] <= nothing) continue;
      trie.prefixes(word, at, [&](size_t length, int32_t piece) {
        if (after[at + length] > nothing)
          expected[piece] +=
              count * std::exp(before[at] + pieces[piece].score + after[at + length] - before[word.size()]);
      });
    }
  }
  std::vector<Piece> kept;
  double total = 0;
  constexpr double rare = 0.5;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (expected[i] < rare && !pieces[i].is_character) continue;
    kept.push_back(pieces[i]);
    kept.back().score = std::max(expected[i], 1e-3);
    total += kept.back().score;
  }
  for (Piece& piece : kept) piece.score = digamma(piece.score) - digamma(total);
  return kept;
}

// The best score of cutting the text into other pieces than the whole.
double without_whole(const std::vector<Piece>& pieces, const ByteTrie& trie, std::string_view text) {
  std::vector<double> best(text.size() + 1, nothing);
  best[0] = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    if (best[at] <= nothing) continue;
    trie.prefixes(text, at, [&](size_t length, int32_t piece) {
      if (length < text.size())
        best[at + length] = std::max(best[at + length], best[at] + pieces[piece].score);
    });
  }
  return best[text.size()];
}

// Removes the pieces whose text costs least likelihood when it is cut into others.
void prune(std::vector<Piece>& pieces, size_t size) {
  const ByteTrie trie = trie_of(pieces);
  std::vector<std::pair<double, size_t>> losses;
  for (size_t i = 0; i < pieces.size(); ++i)
    if (!pieces[i].is_character)
      losses.emplace_back(
          std::exp(pieces[i].score) * (pieces[i].score - without_whole(pieces, trie, pieces[i].text)), i);
  std::sort(losses.begin(), losses.end());
  std::vector<bool> gone(pieces.size());
  for (size_t k = 0; k < losses.size() && pieces.size() - k > size; ++k) gone[losses[k].second] = true;
  std::vector<Piece> kept;
  for (size_t i = 0; i < pieces.size(); ++i)
    if (!gone[i]) kept.push_back(std::move(pieces[i]));
  pieces.swap(kept);
}

}  // namespace

std::unique_ptr<Tokenizer> train_unigram(std::string_view text, const UnigramTraining& options) {
  constexpr std::string_view where = "a trained tokenizer";
  constexpr const char* mark = "\xE2\x96\x81";
  const auto unknown = std::find(options.special.begin(), options.special.end(), "<unk>");
  if (unknown == options.special.end()) fail("expected the special token <unk>, found none");
  if (options.vocab_size <= static_cast<int64_t>(options.special.size()) || options.longest < 1)
    fail("expected a Unigram vocabulary of more than {} special tokens, found {}", options.special.size(),
         options.vocab_size);
  const json normalizer = {{"type", "NFKC"}};
  const json pre_tokenizer = {
      {"type", "Metaspace"}, {"replacement", mark}, {"prepend_scheme", "always"}, {"split", true}};
  const Words words =
      word_counts(text, *make_normalizer(normalizer, where), *make_metaspace(pre_tokenizer, where));
  if (words.empty()) fail("expected text to train a Unigram vocabulary on, found none");
  const auto size = static_cast<size_t>(options.vocab_size) - options.special.size();
  std::vector<Piece> pieces = seeds(words, options);
  for (;;) {
    for (int step = 0; step < 2; ++step) pieces = reestimated(pieces, words);
    if (pieces.size() <= size) break;
    const size_t count = pieces.size();
    prune(pieces, std::max(size, pieces.size() * 3 / 4));
    if (pieces.size() == count) break;  // only characters are left
  }
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return a.score != b.score ? a.score > b.score : a.text < b.text;
  });
  json vocab = json::array(), added = json::array();
  for (const std::string& token : options.special) {
    added.push_back(special_token_json(static_cast<int64_t>(vocab.size()), token));
    vocab.push_back({token, 0.0});
  }
  for (const Piece& piece : pieces) vocab.push_back({piece.text, piece.score});
  json content = {{"version", "1.0"},
                  {"added_tokens", added},
                  {"normalizer", normalizer},
                  {"pre_tokenizer", pre_tokenizer},
                  {"decoder", pre_tokenizer},
                  {"model",
                   {{"type", "Unigram"},
                    {"unk_id", unknown - options.special.begin()},
                    {"byte_fallback", false},
                    {"vocab", std::move(vocab)}}}};
  return tokenizer_from_json(std::move(content), where);
}

}  // namespace formwork
