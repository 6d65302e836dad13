// Text to token ids and back.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace formwork {

// Ids of the tokens with a role, where a model's files name them.
struct SpecialIds {
  std::optional<int64_t> bos, eos, pad, unk, cls, sep, mask;
};

struct Encoding {
  std::vector<int64_t> ids;
  std::vector<int64_t> types;  // of each id: 0 for the first text of a pair, 1 for the second
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual std::string_view name() const = 0;  // "byte", "bpe", "wordpiece", "unigram", "wordlevel"
  virtual int64_t vocab_size() const = 0;     // 1 + the largest id

  // The ids of a text, without the special tokens that a model expects around it. Special tokens that the
  // text spells out become their ids. A lossless tokenizer takes any bytes; for others bytes that are not
  // UTF-8 become U+FFFD first (utf8_replaced). Safe to call from several threads.
  virtual std::vector<int64_t> encode(std::string_view text) const = 0;

  // One text or a pair, with the special tokens that a model expects around them. Length limits and padding
  // that a file may name are left to the caller.
  virtual Encoding encode_for_model(std::string_view text, std::optional<std::string_view> second = {}) const;

  // The bytes that a token adds to the text before it; a special token's own text. Throws Error when id is
  // not in [0, vocab_size).
  virtual std::string token(int64_t id) const = 0;

  // A token as its vocabulary writes it ("Ġthe", "##ing", "▁a"), and the reverse.
  virtual std::string piece(int64_t id) const { return token(id); }
  virtual std::optional<int64_t> id_of(std::string_view piece) const = 0;

  virtual bool is_special(int64_t id) const { return false; }
  virtual std::string decode(const std::vector<int64_t>& ids, bool skip_special = false) const;

  // Whether decode(encode(text)) == text for any bytes, UTF-8 or not.
  virtual bool lossless() const { return true; }

  const SpecialIds& special() const { return special_; }
  void set_special(const SpecialIds& ids) { special_ = ids; }

  // The content of a `tokenizer.json` that the Hugging Face tokenizers library reads as well, but for
  // Marian's files, which no such file can express to it.
  virtual nlohmann::json to_json() const = 0;
  void save(const std::filesystem::path& path) const;

 private:
  SpecialIds special_;
};

// Reads the content of a `tokenizer.json`; `where` names the source in errors.
// Throws Error for parts that are not known and for broken content.
std::unique_ptr<Tokenizer> tokenizer_from_json(nlohmann::json content, std::string_view where);

// Reads a folder (tokenizer.json, or else a SentencePiece model, a vocab.txt, vocab.json with merges.txt, or
// Marian's source.spm with vocab.json; with the special ids of tokenizer_config.json and
// special_tokens_map.json), or one file: tokenizer.json, *.model (SentencePiece), *.tiktoken.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path);
// Whether a folder holds the files of one.
bool has_tokenizer(const std::filesystem::path& folder);

}  // namespace formwork
