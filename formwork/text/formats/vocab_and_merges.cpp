#include "formwork/text/formats/vocab_and_merges.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formwork/core/json_text.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/models/bpe_json.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

using nlohmann::json;
using std::filesystem::path;

enum class Form { gpt2, roberta };

Form form_of(const json& config, const json& vocab, const std::string& where) {
  std::string name = text_field(config, "tokenizer_class", "", where);
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  const std::vector<std::string> gpt2 = {"GPT2Tokenizer"}, roberta = {"RobertaTokenizer", "BartTokenizer",
                                                                      "LongformerTokenizer", "LEDTokenizer"};
  const auto is_in = [&](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (is_in(gpt2)) return Form::gpt2;
  if (is_in(roberta)) return Form::roberta;
  if (!name.empty() && name != "PreTrainedTokenizer")
    fail(
        "{}: 'tokenizer_class': expected {} or {} beside vocab.json and merges.txt, found '{}' and no "
        "tokenizer.json",
        where, gpt2.front(), fmt::join(roberta, ", "), name);
  return vocab.contains("<s>") && vocab.contains("</s>") && vocab.contains("<mask>") ? Form::roberta
                                                                                     : Form::gpt2;
}

// A merge a line, after a line that may name the version.
json read_merges(const path& file) {
  const std::string text = read_file(file);
  json merges = json::array();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    const bool version = at == 0 && line.starts_with("#version");
    at = end + 1;
    if (version || line.empty()) continue;
    const size_t space = line.find(' ');
    if (space == std::string::npos || line.find(' ', space + 1) != std::string::npos || !is_utf8(line))
      fail("{}: expected two tokens a line, found '{}'", file.string(), utf8_replaced(line.substr(0, 60)));
    merges.push_back({line.substr(0, space), line.substr(space + 1)});
  }
  return merges;
}

void set_defaults(SpecialTokens& special, Form form) {
  if (form == Form::gpt2) {
    // The one token that GPT-2 has, unless the files name others.
    const auto only = special.role("eos_token", "<|endoftext|>");
    for (const char* role : {"bos_token", "eos_token", "unk_token"}) special.set_default(role, only);
    return;
  }
  for (const auto& [role, content] :
       {std::pair("bos_token", "<s>"), std::pair("eos_token", "</s>"), std::pair("cls_token", "<s>"),
        std::pair("sep_token", "</s>"), std::pair("unk_token", "<unk>"), std::pair("pad_token", "<pad>")})
    special.set_default(role, content);
  // It takes the place of a word with its space.
  special.set_default("mask_token", "<mask>", {{"lstrip", true}});
}

json named(const SpecialTokens& special, const char* role, const json& vocab, const std::string& where) {
  const auto content = special.role(role);
  if (!vocab.contains(content))
    fail("{}: expected the {} '{}' in the vocabulary, found none", where, role, content);
  return json{content, vocab[content]};
}

json post_processor(const SpecialTokens& special, Form form, bool prefix_space, const json& vocab,
                    const std::string& where) {
  if (form == Form::roberta)
    return {{"type", "RobertaProcessing"},
            {"sep", named(special, "sep_token", vocab, where)},
            {"cls", named(special, "cls_token", vocab, where)},
            {"trim_offsets", true},
            {"add_prefix_space", prefix_space}};
  if (!flag_field(special.config(), "add_bos_token", false, where)) return nullptr;
  const json bos = named(special, "bos_token", vocab, where);
  const auto token = [&](int type) { return json{{"SpecialToken", {{"id", bos[0]}, {"type_id", type}}}}; };
  const auto text = [](const char* id, int type) {
    return json{{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", {token(0), text("A", 0)}},
          {"pair", {token(0), text("A", 0), token(1), text("B", 1)}},
          {"special_tokens",
           {{bos[0].get<std::string>(), {{"id", bos[0]}, {"ids", {bos[1]}}, {"tokens", {bos[0]}}}}}}};
}

}  // namespace

std::unique_ptr<Tokenizer> load_vocab_and_merges(const path& folder, SpecialTokens& special) {
  const std::string where = (folder / "vocab.json").string();
  json vocab = read_json<json>(folder / "vocab.json");
  if (!vocab.is_object())
    fail("{}: expected an object of tokens and their ids, found {}", where, shown(vocab));
  const json& config = special.config();
  const Form form = form_of(config, vocab, (folder / "tokenizer_config.json").string());
  set_defaults(special, form);
  const bool prefix_space = flag_field(config, "add_prefix_space", false, where);
  json words = byte_level_json();
  words["add_prefix_space"] = prefix_space;
  json content = {
      {"version", "1.0"},
      {"added_tokens", special.added_tokens(vocab)},
      {"normalizer", nullptr},
      {"pre_tokenizer", words},
      {"post_processor", post_processor(special, form, prefix_space, vocab, where)},
      {"decoder", byte_level_json()},
      {"model",
       {{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", read_merges(folder / "merges.txt")}}}};
  return tokenizer_from_json(std::move(content), where);
}

}  // namespace formwork
