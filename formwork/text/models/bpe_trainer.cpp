#include "formwork/text/models/bpe_trainer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "formwork/core/error.h"
#include "formwork/text/models/bpe_json.h"
#include "formwork/text/models/pair_counts.h"
#include "formwork/text/pre_tokenizers/word_split.h"
#include "formwork/text/unicode/byte_level.h"

namespace formwork {
namespace {

std::vector<CountedWord> count_words(std::string_view text, const int32_t (&byte_ids)[256]) {
  std::unordered_map<std::string_view, size_t> places;
  std::vector<CountedWord> words;
  for_each_word(WordPattern::gpt2, text, [&](std::string_view bytes) {
    const auto [place, is_new] = places.try_emplace(bytes, words.size());
    if (!is_new) {
      ++words[place->second].count;
      return;
    }
    CountedWord word{{}, 1};
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
    const PairCounts::Best best = counts.best();
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
