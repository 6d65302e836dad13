// Normalizers: what happens to a text before it is cut into words. Types and meanings are those of
// `tokenizer.json`: NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Replace, Prepend, Nmt, ByteLevel,
// BertNormalizer, Precompiled, Sequence.
#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace formwork {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // `text` is valid UTF-8 before and after.
  virtual void normalize(std::string& text) const = 0;
};

// Throws Error, starting with `where`, for an unknown type or wrong options.
std::unique_ptr<Normalizer> make_normalizer(const nlohmann::json& content, std::string_view where,
                                            int depth = 0);

// In files of their own; called by make_normalizer.
std::unique_ptr<Normalizer> make_bert_normalizer(const nlohmann::json& content, std::string_view where);
std::unique_ptr<Normalizer> make_precompiled_normalizer(const nlohmann::json& content,
                                                        std::string_view where);

}  // namespace formwork
