#include "formwork/text/models/token_model.h"

#include <functional>

#include "formwork/text/by_type.h"

namespace formwork {

using nlohmann::json;

std::unique_ptr<TokenModel> make_token_model(const json& content, ByteForm wanted, std::string_view where) {
  const std::map<std::string, std::function<std::unique_ptr<TokenModel>()>> types = {
      {"BPE", [&] { return make_bpe(content, wanted, where); }},
      {"WordPiece", [&] { return make_wordpiece(content, where); }},
      {"Unigram", [&] { return make_unigram(content, where); }},
      {"RenumberedUnigram", [&] { return make_renumbered_unigram(content, where); }},
      {"WordLevel", [&] { return make_word_level(content, where); }},
  };
  if (content.is_object() && !content.contains("type") && content.contains("merges"))
    return make_bpe(content, wanted, where);  // older files leave the type out
  return make_by_type(types, "model", content, where);
}

Vocabulary vocabulary_from_json(const json& vocab, std::string_view where) {
  if (!vocab.is_object()) fail("{}: expected model.vocab to be an object, found {}", where, shown(vocab));
  size_t bytes = 0;
  for (const auto& [text, id] : vocab.items()) bytes += text.size();
  Vocabulary vocabulary;
  vocabulary.reserve(vocab.size(), bytes);
  for (const auto& [text, id] : vocab.items()) {
    if (!id.is_number_integer()) fail("{}: expected a token id, found {}", where, shown(id));
    vocabulary.add(id.get<int64_t>(), text, where);
  }
  return vocabulary;
}

json vocabulary_to_json(const Vocabulary& vocabulary) {
  json vocab = json::object();
  for (int64_t id = 0; id < vocabulary.size(); ++id)
    if (vocabulary.has(id)) vocab[std::string(vocabulary.text(id))] = id;
  return vocab;
}

std::vector<int32_t> byte_fallback_ids(const Vocabulary& vocabulary) {
  std::vector<int32_t> ids;
  for (int byte = 0; byte < 256; ++byte) {
    ids.push_back(vocabulary.find(fmt::format("<0x{:02X}>", byte)));
    if (ids.back() < 0) return {};
  }
  return ids;
}

}  // namespace formwork
