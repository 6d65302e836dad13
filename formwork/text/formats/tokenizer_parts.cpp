#include "formwork/text/formats/tokenizer_parts.h"

#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/text/formats/sentence_pieces.h"
#include "formwork/text/models/bpe.h"
#include "formwork/text/models/bpe_json.h"
#include "formwork/text/pipeline_tokenizer.h"
#include "formwork/text/pre_tokenizers/word_split.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

using nlohmann::json;

// What a name in tokenizer.ggml.pre stands for.
struct Cutting {
  std::vector<std::string> names;
  json pre_tokenizer;
  bool ignore_merges, bos;
  json normalizer;
};

json sequence(json first, json second) {
  return {{"type", "Sequence"}, {"pretokenizers", {std::move(first), std::move(second)}}};
}

json cut_at(std::string_view regex) {
  return sequence(
      {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}},
      byte_level_json(false));
}

const std::vector<Cutting>& cuttings() {
  constexpr std::string_view gpt4o =
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
      R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  constexpr std::string_view tekken =
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
      R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  static const std::vector<Cutting> list = {
      {{"gpt-2", "default", "", "olmo", "mpt", "jais", "phi-2", "roberta-bpe", "jina-en", "jina-es",
        "jina-de", "gigachat"},
       byte_level_json(),
       false,
       false,
       nullptr},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"},
       sequence({{"type", "Digits"}, {"individual_digits", true}}, byte_level_json()),
       false,
       false,
       nullptr},
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"},
       cut_at(pattern_text(WordPattern::llama3)),
       true,
       true,
       nullptr},
      {{"dbrx", "smaug-bpe", "chatglm-bpe"},
       cut_at(pattern_text(WordPattern::llama3)),
       false,
       false,
       nullptr},
      {{"qwen2", "stablelm2", "deepseek-r1-qwen", "hunyuan", "megrez"},
       cut_at(pattern_text(WordPattern::qwen2)),
       false,
       false,
       {{"type", "NFC"}}},
      {{"gpt-4o", "llama4"}, cut_at(gpt4o), false, false, nullptr},
      {{"tekken"}, cut_at(tekken), true, true, nullptr},
  };
  return list;
}

const Cutting& find_cutting(const std::string& pre, std::string_view where) {
  std::vector<std::string> names;
  for (const Cutting& cutting : cuttings()) {
    for (const std::string& name : cutting.names)
      if (name == pre) return cutting;
    names.insert(names.end(), cutting.names.begin(), cutting.names.end());
  }
  const std::string near = nearest(pre, names);
  fail("{}: unknown pre-tokenizer '{}'; {}", where, utf8_replaced(pre),
       near.empty() ? fmt::format("known are {}", fmt::join(names, ", ")) : "the nearest known is " + near);
}

Vocabulary read_vocabulary(const std::vector<std::string>& tokens, std::string_view where) {
  Vocabulary vocabulary;
  size_t bytes = 0;
  for (const std::string& token : tokens) bytes += token.size();
  vocabulary.reserve(tokens.size(), bytes);
  for (size_t id = 0; id < tokens.size(); ++id) vocabulary.add(static_cast<int64_t>(id), tokens[id], where);
  return vocabulary;
}

Bpe::Merges read_merges(const std::vector<std::string>& lines, const Vocabulary& vocabulary,
                        std::string_view where) {
  Bpe::Merges merges;
  merges.reserve(lines.size());
  for (const std::string& line : lines) {
    const size_t space = line.find(' ', 1);
    const int32_t left = vocabulary.find(std::string_view(line).substr(0, space));
    const int32_t right =
        space == std::string::npos ? -1 : vocabulary.find(std::string_view(line).substr(space + 1));
    if (left < 0 || right < 0)
      fail("{}: expected a merge of two tokens of the vocabulary, found '{}'", where, utf8_replaced(line));
    merges.push_back({left, right, static_cast<int32_t>(merges.size())});
  }
  return merges;
}

std::unique_ptr<Tokenizer> make_gpt2(const TokenizerParts& parts, std::string_view where) {
  const Cutting& cutting = find_cutting(parts.pre, where);
  Vocabulary vocabulary = read_vocabulary(parts.tokens, where);
  const Bpe::Merges merges = read_merges(parts.merges, vocabulary, where);
  BpeOptions options;
  options.bytes = ByteForm::raw;
  options.ignore_merges = cutting.ignore_merges;
  auto model = std::make_unique<Bpe>(std::move(vocabulary), merges, options, where);
  json rest = {{"version", "1.0"},
               {"added_tokens", added_tokens_json(parts, where)},
               {"normalizer", cutting.normalizer},
               {"pre_tokenizer", cutting.pre_tokenizer},
               {"post_processor", surroundings(parts, parts.add_bos.value_or(cutting.bos),
                                               parts.add_eos.value_or(false), where)},
               {"decoder", byte_level_json()}};
  return std::make_unique<PipelineTokenizer>(std::move(rest), std::move(model), where);
}

// GGUF marks the beginning of words, where WordPiece marks what continues them.
std::string wordpiece_text(const std::string& token, bool is_special) {
  constexpr std::string_view mark = "\xE2\x96\x81";
  if (is_special || (token.starts_with('[') && token.ends_with(']'))) return token;
  return token.starts_with(mark) ? token.substr(mark.size()) : "##" + token;
}

std::unique_ptr<Tokenizer> make_bert(const TokenizerParts& parts, std::string_view where) {
  json vocab = json::object();
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    const bool special = !parts.types.empty() && parts.types[id] == static_cast<int32_t>(TokenType::control);
    vocab[utf8_replaced(wordpiece_text(parts.tokens[id], special))] = id;
  }
  const auto id_or = [](std::optional<int64_t> id, std::optional<int64_t> other) { return id ? id : other; };
  const auto cls = id_or(parts.special.cls, parts.special.bos),
             sep = id_or(parts.special.sep, parts.special.eos);
  const auto size = static_cast<int64_t>(parts.tokens.size());
  if (!cls || !sep || *cls < 0 || *sep < 0 || *cls >= size || *sep >= size)
    fail("{}: expected ids of [CLS] and [SEP] in [0, {}), found none", where, size);
  const int64_t unk = parts.special.unk.value_or(-1);
  const std::string unknown =
      unk >= 0 && unk < size ? utf8_replaced(parts.tokens[static_cast<size_t>(unk)]) : "[UNK]";
  const auto named = [&](int64_t id) {
    return json{utf8_replaced(parts.tokens[static_cast<size_t>(id)]), id};
  };
  json content = {
      {"version", "1.0"},
      {"added_tokens", added_tokens_json(parts, where)},
      {"normalizer", {{"type", "BertNormalizer"}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"post_processor", {{"type", "BertProcessing"}, {"cls", named(*cls)}, {"sep", named(*sep)}}},
      {"decoder", {{"type", "WordPiece"}}},
      {"model", {{"type", "WordPiece"}, {"unk_token", unknown}, {"vocab", std::move(vocab)}}}};
  return tokenizer_from_json(std::move(content), where);
}

}  // namespace

json added_tokens_json(const TokenizerParts& parts, std::string_view where) {
  if (!parts.types.empty() && parts.types.size() != parts.tokens.size())
    fail("{}: expected a type for each of {} tokens, found {}", where, parts.tokens.size(),
         parts.types.size());
  json added = json::array();
  for (size_t id = 0; id < parts.types.size(); ++id) {
    const auto type = static_cast<TokenType>(parts.types[id]);
    const bool special = type == TokenType::control || type == TokenType::unknown;
    if ((!special && type != TokenType::user_defined) || parts.tokens[id].empty()) continue;
    added.push_back(special_token_json(static_cast<int64_t>(id), utf8_replaced(parts.tokens[id])));
    added.back()["special"] = special;
  }
  return added;
}

json surroundings(const TokenizerParts& parts, bool bos, bool eos, std::string_view where) {
  json single = json::array(), pair = json::array(), specials = json::object();
  const auto add = [&](json& list, std::optional<int64_t> id, int type) {
    if (!id) return;
    const auto size = static_cast<int64_t>(parts.tokens.size());
    if (*id < 0 || *id >= size)
      fail("{}: expected a special token's id in [0, {}), found {}", where, size, *id);
    const std::string text = utf8_replaced(parts.tokens[static_cast<size_t>(*id)]);
    specials[text] = {{"id", text}, {"ids", {*id}}, {"tokens", {text}}};
    list.push_back({{"SpecialToken", {{"id", text}, {"type_id", type}}}});
  };
  const auto text = [](const char* id, int type) {
    return json{{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  const auto bos_id = bos ? parts.special.bos : std::nullopt, eos_id = eos ? parts.special.eos : std::nullopt;
  add(single, bos_id, 0);
  single.push_back(text("A", 0));
  add(single, eos_id, 0);
  pair = single;
  add(pair, bos_id, 1);
  pair.push_back(text("B", 1));
  add(pair, eos_id, 1);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", specials}};
}

std::unique_ptr<Tokenizer> tokenizer_from_parts(const TokenizerParts& parts, std::string_view where) {
  if (parts.tokens.empty()) fail("{}: expected a vocabulary, found no tokens", where);
  std::unique_ptr<Tokenizer> tokenizer;
  if (parts.model == "gpt2")
    tokenizer = make_gpt2(parts, where);
  else if (parts.model == "bert")
    tokenizer = make_bert(parts, where);
  else if (parts.model == "llama" || parts.model == "t5")
    tokenizer = make_sentence_pieces(parts, where);
  else
    fail_unknown("tokenizer model", utf8_replaced(parts.model), {"gpt2", "llama", "bert", "t5"});
  tokenizer->set_special(parts.special);
  return tokenizer;
}

}  // namespace formwork
