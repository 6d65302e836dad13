// ByteLevel: cuts at the words of GPT-2 and, for models that do not know bytes, writes each byte as one
// printable character.
#include <nlohmann/json.hpp>

#include "formwork/text/json_fields.h"
#include "formwork/text/pre_tokenizers/pre_tokenizer.h"
#include "formwork/text/pre_tokenizers/word_split.h"
#include "formwork/text/unicode/byte_level.h"

namespace formwork {
namespace {

class ByteLevel final : public PreTokenizer {
 public:
  ByteLevel(bool prefix_space, bool cuts, ByteForm bytes)
      : prefix_space_(prefix_space), cuts_(cuts), bytes_(bytes) {}

  void split(std::string_view text, bool first, WordSink& out) const override {
    std::string with_space;
    if (prefix_space_ && text[0] != ' ') {
      with_space.append(" ").append(text);
      text = with_space;
    }
    if (!cuts_) return emit(text, first, out);
    for_each_word(WordPattern::gpt2, text,
                  [&](std::string_view word) { emit(word, first && word.data() == text.data(), out); });
  }
  bool keeps_bytes() const override { return !prefix_space_; }

 private:
  void emit(std::string_view word, bool first, WordSink& out) const {
    if (bytes_ == ByteForm::raw)
      out.word(word, first);
    else
      out.word(to_byte_level(word), first);
  }

  bool prefix_space_, cuts_;
  ByteForm bytes_;
};

}  // namespace

std::unique_ptr<PreTokenizer> make_byte_level(const nlohmann::json& content, ByteForm bytes,
                                              std::string_view where) {
  return std::make_unique<ByteLevel>(flag_field(content, "add_prefix_space", true, where),
                                     flag_field(content, "use_regex", true, where), bytes);
}

}  // namespace formwork
