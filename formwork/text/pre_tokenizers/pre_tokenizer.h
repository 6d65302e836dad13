// Pre-tokenizers: cut a normalized text into the words that a model sees one at a time. Types and meanings
// are those of `tokenizer.json`: ByteLevel, Split, Digits, Metaspace, Whitespace, WhitespaceSplit,
// Punctuation, BertPreTokenizer, CharDelimiterSplit, Sequence.
#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace formwork {

// Takes words in order; `first` says that the word starts where the whole text starts.
class WordSink {
 public:
  virtual ~WordSink() = default;
  virtual void word(std::string_view text, bool first) = 0;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // `text` is not empty; words given to `out` live only during the call.
  virtual void split(std::string_view text, bool first, WordSink& out) const = 0;
  // Whether bytes that are not UTF-8 pass through unharmed.
  virtual bool keeps_bytes() const { return false; }
};

// Whether a ByteLevel pre-tokenizer writes bytes as printable characters, or leaves them as they are for a
// model that knows bytes.
enum class ByteForm { printable, raw };

// Throws Error, starting with `where`, for an unknown type or wrong options.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const nlohmann::json& content, ByteForm bytes,
                                                 std::string_view where, int depth = 0);

// Whether ByteLevel is the last step, so that a model can take raw bytes instead of printable characters.
bool ends_in_byte_level(const nlohmann::json& content);

// In files of their own; called by make_pre_tokenizer.
std::unique_ptr<PreTokenizer> make_byte_level(const nlohmann::json& content, ByteForm bytes,
                                              std::string_view where);
std::unique_ptr<PreTokenizer> make_split(const nlohmann::json& content, std::string_view where);
std::unique_ptr<PreTokenizer> make_metaspace(const nlohmann::json& content, std::string_view where);
std::unique_ptr<PreTokenizer> make_digits(const nlohmann::json& content, std::string_view where);
std::unique_ptr<PreTokenizer> make_punctuation(const nlohmann::json& content, std::string_view where);
std::unique_ptr<PreTokenizer> make_delimiter(const nlohmann::json& content, std::string_view where);
std::unique_ptr<PreTokenizer> make_whitespace();
std::unique_ptr<PreTokenizer> make_whitespace_split();
std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer();

}  // namespace formwork
