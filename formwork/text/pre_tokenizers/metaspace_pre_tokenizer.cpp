// Metaspace: blanks become a visible character (U+2581), one is set before the text, and each starts a word
// (SentencePiece, Kudo and Richardson, 2018).
#include <nlohmann/json.hpp>

#include "formwork/text/pre_tokenizers/metaspace.h"
#include "formwork/text/pre_tokenizers/pre_tokenizer.h"

namespace formwork {
namespace {

class MetaspaceSplit final : public PreTokenizer {
 public:
  explicit MetaspaceSplit(Metaspace options) : options_(std::move(options)) {}

  void split(std::string_view text, bool first, WordSink& out) const override {
    const std::string_view mark = options_.replacement;
    const bool starts_with_mark = text[0] == ' ' || text.starts_with(mark);
    const bool prepend = options_.scheme == Metaspace::Scheme::always ||
                         (options_.scheme == Metaspace::Scheme::first && first);
    std::string marked;
    marked.reserve(text.size() + text.size() / 2 + mark.size());
    if (prepend && !starts_with_mark) marked += mark;
    for (const char c : text) {
      if (c == ' ')
        marked += mark;
      else
        marked += c;
    }
    if (!options_.split) return out.word(marked, first);
    for (size_t at = 0; at < marked.size();) {
      const size_t end = std::min(marked.find(mark, at + 1), marked.size());
      out.word(std::string_view(marked).substr(at, end - at), first && at == 0);
      at = end;
    }
  }

 private:
  Metaspace options_;
};

}  // namespace

std::unique_ptr<PreTokenizer> make_metaspace(const nlohmann::json& content, std::string_view where) {
  return std::make_unique<MetaspaceSplit>(Metaspace(content, where));
}

}  // namespace formwork
