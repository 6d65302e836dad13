// The model of a tokenizer: turns one word into ids. Types are those of `tokenizer.json`: BPE, WordPiece,
// Unigram, WordLevel, and one of our own: RenumberedUnigram.
#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string_view>
#include <vector>

#include "formwork/text/models/vocabulary.h"
#include "formwork/text/pre_tokenizers/pre_tokenizer.h"

namespace formwork {

class TokenModel {
 public:
  explicit TokenModel(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  virtual ~TokenModel() = default;

  virtual std::string_view name() const = 0;  // "bpe", "wordpiece", "unigram", "wordlevel"
  // Appends the ids of a word that is not empty.
  virtual void encode(std::string_view word, std::vector<int32_t>& ids) const = 0;
  virtual nlohmann::json to_json() const = 0;

  // Whether words are raw bytes, or text.
  virtual ByteForm bytes() const { return ByteForm::printable; }
  // A character before which a word may be cut where another precedes, without changing the ids; often empty.
  virtual std::string_view boundary() const { return {}; }
  // Whether every byte has a token, so that nothing is lost or unknown.
  virtual bool covers_bytes() const { return false; }

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
};

// `wanted` is how the pre-tokenizer can hand over bytes; the model's bytes() says what it takes.
// Throws Error, starting with `where`, for an unknown type, wrong options and broken vocabularies.
std::unique_ptr<TokenModel> make_token_model(const nlohmann::json& content, ByteForm wanted,
                                             std::string_view where);

// In files of their own; called by make_token_model.
std::unique_ptr<TokenModel> make_bpe(const nlohmann::json& content, ByteForm wanted, std::string_view where);
std::unique_ptr<TokenModel> make_wordpiece(const nlohmann::json& content, std::string_view where);
std::unique_ptr<TokenModel> make_unigram(const nlohmann::json& content, std::string_view where);
std::unique_ptr<TokenModel> make_renumbered_unigram(const nlohmann::json& content, std::string_view where);
std::unique_ptr<TokenModel> make_word_level(const nlohmann::json& content, std::string_view where);

// The `vocab` object of a model, and back.
Vocabulary vocabulary_from_json(const nlohmann::json& vocab, std::string_view where);
nlohmann::json vocabulary_to_json(const Vocabulary& vocabulary);

// Ids of the tokens <0x00> ... <0xFF> that stand for single bytes; empty when one is missing.
std::vector<int32_t> byte_fallback_ids(const Vocabulary& vocabulary);

}  // namespace formwork
