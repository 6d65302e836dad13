// WordPiece: the longest token that starts a word, then the longest continuation, and so on (Google's Neural
// Machine Translation System, 2016); WordLevel: a word is a token or unknown.
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/models/byte_trie.h"
#include "formwork/text/models/token_model.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

using nlohmann::json;

struct Options {
  std::string unknown, prefix;
  int64_t most_characters;  // a longer word is unknown
};

int32_t unknown_id(const Vocabulary& vocabulary, const std::string& unknown, std::string_view where) {
  const int32_t id = vocabulary.find(unknown);
  if (id < 0) fail("{}: the unknown token '{}' is not in the vocabulary", where, unknown);
  return id;
}

class WordPiece final : public TokenModel {
 public:
  WordPiece(Vocabulary tokens, Options options, std::string_view where)
      : TokenModel(std::move(tokens)),
        options_(std::move(options)),
        unknown_(unknown_id(vocabulary(), options_.unknown, where)) {
    for (int64_t id = 0; id < vocabulary().size(); ++id) {
      const std::string_view text = vocabulary().text(id);
      starts_.add(text, static_cast<int32_t>(id));
      if (text.starts_with(options_.prefix))
        continuations_.add(text.substr(options_.prefix.size()), static_cast<int32_t>(id));
    }
  }

  std::string_view name() const override { return "wordpiece"; }

  void encode(std::string_view word, std::vector<int32_t>& ids) const override {
    const size_t first = ids.size();
    if (too_long(word)) return ids.push_back(unknown_);
    for (size_t at = 0; at < word.size();) {
      size_t length = 0;
      int32_t id = unknown_;
      (at == 0 ? starts_ : continuations_).prefixes(word, at, [&](size_t bytes, int32_t value) {
        length = bytes;
        id = value;
      });
      if (length == 0) {
        ids.resize(first);
        return ids.push_back(unknown_);
      }
      ids.push_back(id);
      at += length;
    }
  }

  json to_json() const override {
    return {{"type", "WordPiece"},
            {"unk_token", options_.unknown},
            {"continuing_subword_prefix", options_.prefix},
            {"max_input_chars_per_word", options_.most_characters},
            {"vocab", vocabulary_to_json(vocabulary())}};
  }

 private:
  bool too_long(std::string_view word) const {
    if (static_cast<int64_t>(word.size()) <= options_.most_characters) return false;
    int64_t characters = 0;
    for (const char c : word) characters += (c & 0xC0) != 0x80;
    return characters > options_.most_characters;
  }

  Options options_;
  int32_t unknown_;
  ByteTrie starts_, continuations_;
};

class WordLevel final : public TokenModel {
 public:
  WordLevel(Vocabulary tokens, std::string unknown)
      : TokenModel(std::move(tokens)),
        unknown_(std::move(unknown)),
        unknown_id_(vocabulary().find(unknown_)) {}

  std::string_view name() const override { return "wordlevel"; }
  void encode(std::string_view word, std::vector<int32_t>& ids) const override {
    const int32_t id = vocabulary().find(word);
    if (id < 0 && unknown_id_ < 0)
      fail("the word '{}' is not in the vocabulary, which has no unknown token", utf8_replaced(word));
    ids.push_back(id < 0 ? unknown_id_ : id);
  }
  json to_json() const override {
    return {{"type", "WordLevel"}, {"unk_token", unknown_}, {"vocab", vocabulary_to_json(vocabulary())}};
  }

 private:
  std::string unknown_;
  int32_t unknown_id_;
};

}  // namespace

std::unique_ptr<TokenModel> make_wordpiece(const json& content, std::string_view where) {
  Options options;
  options.unknown = text_field(content, "unk_token", "[UNK]", where);
  options.prefix = text_field(content, "continuing_subword_prefix", "##", where);
  options.most_characters = count_field(content, "max_input_chars_per_word", 100, where);
  return std::make_unique<WordPiece>(vocabulary_from_json(field(content, "vocab", where), where),
                                     std::move(options), where);
}

std::unique_ptr<TokenModel> make_word_level(const json& content, std::string_view where) {
  return std::make_unique<WordLevel>(vocabulary_from_json(field(content, "vocab", where), where),
                                     text_field(content, "unk_token", "<unk>", where));
}

}  // namespace formwork
