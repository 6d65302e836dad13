// Text to token ids and back.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace formwork {

// A tokenizer never loses a byte: decode(encode(text)) == text for any bytes, UTF-8 or not.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  virtual std::string_view name() const = 0;
  virtual int64_t vocab_size() const = 0;
  virtual std::vector<int64_t> encode(std::string_view text) const = 0;

  // The bytes of one token. Throws Error when id is not in [0, vocab_size).
  virtual std::string_view token(int64_t id) const = 0;
  std::string decode(const std::vector<int64_t>& ids) const;

  // The content of a `tokenizer.json` that the Hugging Face tokenizers library reads as well.
  virtual nlohmann::json to_json() const = 0;
  void save(const std::filesystem::path& path) const;
};

// Reads a `tokenizer.json` with a byte-level BPE model; `where` names the source in errors.
// Throws Error for anything else (another model, normalizer or pre-tokenizer) and for broken content.
std::unique_ptr<Tokenizer> tokenizer_from_json(const nlohmann::json& content, std::string_view where);
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& path);

}  // namespace formwork
