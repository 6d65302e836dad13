#include "formwork/text/pre_tokenizers/pre_tokenizer.h"

#include <functional>

#include "formwork/text/by_type.h"

namespace formwork {
namespace {

using nlohmann::json;
using MadePreTokenizer = std::unique_ptr<PreTokenizer>;

constexpr int deepest = 8;

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(std::vector<MadePreTokenizer> parts) : parts_(std::move(parts)) {}

  void split(std::string_view text, bool first, WordSink& out) const override {
    Step(*this, 0, out).word(text, first);
  }
  bool keeps_bytes() const override {
    for (const auto& part : parts_)
      if (!part->keeps_bytes()) return false;
    return true;
  }

 private:
  // Hands each word of one part to the next.
  class Step final : public WordSink {
   public:
    Step(const Sequence& sequence, size_t index, WordSink& out)
        : sequence_(sequence), index_(index), out_(out) {}
    void word(std::string_view text, bool first) override {
      if (index_ == sequence_.parts_.size()) return out_.word(text, first);
      Step next(sequence_, index_ + 1, out_);
      const bool last = index_ + 1 == sequence_.parts_.size();
      sequence_.parts_[index_]->split(text, first, last ? out_ : next);
    }

   private:
    const Sequence& sequence_;
    size_t index_;
    WordSink& out_;
  };

  std::vector<MadePreTokenizer> parts_;
};

MadePreTokenizer make_sequence(const json& content, ByteForm bytes, std::string_view where, int depth) {
  const json& list = list_field(content, "pretokenizers", where);
  std::vector<MadePreTokenizer> parts;
  for (size_t i = 0; i < list.size(); ++i)
    parts.push_back(
        make_pre_tokenizer(list[i], i + 1 == list.size() ? bytes : ByteForm::printable, where, depth + 1));
  return std::make_unique<Sequence>(std::move(parts));
}

}  // namespace

bool ends_in_byte_level(const json& content) {
  const json* part = &content;
  for (int depth = 0; depth <= deepest; ++depth) {
    if (!part->is_object() || !part->contains("type")) return false;
    if ((*part)["type"] == "ByteLevel") return true;
    if ((*part)["type"] != "Sequence" || !part->contains("pretokenizers")) return false;
    const json& list = (*part)["pretokenizers"];
    if (!list.is_array() || list.empty()) return false;
    part = &list.back();
  }
  return false;
}

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const json& content, ByteForm bytes, std::string_view where,
                                                 int depth) {
  if (depth > deepest) fail("{}: pre-tokenizers are nested more than {} deep", where, deepest);
  const std::map<std::string, std::function<MadePreTokenizer()>> types = {
      {"ByteLevel", [&] { return make_byte_level(content, bytes, where); }},
      {"Split", [&] { return make_split(content, where); }},
      {"Digits", [&] { return make_digits(content, where); }},
      {"Metaspace", [&] { return make_metaspace(content, where); }},
      {"Whitespace", [] { return make_whitespace(); }},
      {"WhitespaceSplit", [] { return make_whitespace_split(); }},
      {"Punctuation", [&] { return make_punctuation(content, where); }},
      {"BertPreTokenizer", [] { return make_bert_pre_tokenizer(); }},
      {"CharDelimiterSplit", [&] { return make_delimiter(content, where); }},
      {"Sequence", [&] { return make_sequence(content, bytes, where, depth); }},
  };
  return make_by_type(types, "pre_tokenizer", content, where);
}

}  // namespace formwork
