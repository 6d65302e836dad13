#include "formwork/interop/gguf_tokenizer.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/interop/gguf_file.h"

namespace formwork {
namespace {

using nlohmann::json;

constexpr int32_t kControl = 3, kUserDefined = 4;

json byte_level(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

json sequence(std::vector<json> parts) { return {{"type", "Sequence"}, {"pretokenizers", std::move(parts)}}; }

json split(const char* pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}

// How each pre-tokenizer cuts words, as the tokenizer.json of its models says it.
const std::map<std::string, json>& pre_tokenizers() {
  static const std::map<std::string, json> known = {
      {"gpt-2", byte_level(true)},
      {"smollm", sequence({{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)})},
      {"llama-bpe",
       sequence(
           {split(
                R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
                R"(\s*[\r\n]+|\s+(?!\S)|\s+)"),
            byte_level(false)})},
      {"qwen2",
       sequence(
           {split(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
                  R"(\s*[\r\n]+|\s+(?!\S)|\s+)"),
            byte_level(false)})}};
  return known;
}

json pre_tokenizer(const std::string& pre, const std::string& path) {
  const auto& known = pre_tokenizers();
  const auto found = known.find(pre == "default" ? "gpt-2" : pre);
  if (found != known.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [name, part] : known) names.push_back(name);
  fail_unknown(path + ": pre-tokenizer", pre, names);
}

}  // namespace

std::string gguf_tokenizer_json(const std::filesystem::path& path) {
  const GgufFile file(path);
  const auto model = file.text("tokenizer.ggml.model");
  if (model != "gpt2")
    fail("{}: tokenizer of model '{}': expected gpt2 (byte-level BPE)", file.path(), model);
  const auto tokens = file.strings("tokenizer.ggml.tokens"), merges = file.strings("tokenizer.ggml.merges");
  std::vector<int64_t> types;
  if (file.has("tokenizer.ggml.token_type")) types = file.integers("tokenizer.ggml.token_type");
  if (!types.empty() && types.size() != tokens.size())
    fail("{}: {} tokens, but {} types of tokens", file.path(), tokens.size(), types.size());
  json vocabulary = json::object(), added = json::array();
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (!vocabulary.emplace(std::string(tokens[id]), id).second)
      fail("{}: token {} stands there twice", file.path(), id);
    if (types.empty() || (types[id] != kControl && types[id] != kUserDefined)) continue;
    added.push_back({{"id", id},
                     {"content", tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", types[id] == kControl}});
  }
  json pairs = json::array();
  for (const auto merge : merges) pairs.push_back(merge);
  const json whole = {{"version", "1.0"},
                      {"truncation", nullptr},
                      {"padding", nullptr},
                      {"added_tokens", added},
                      {"normalizer", nullptr},
                      {"pre_tokenizer", pre_tokenizer(file.text("tokenizer.ggml.pre", "gpt-2"), file.path())},
                      {"post_processor", nullptr},
                      {"decoder", byte_level(true)},
                      {"model",
                       {{"type", "BPE"},
                        {"dropout", nullptr},
                        {"unk_token", nullptr},
                        {"continuing_subword_prefix", nullptr},
                        {"end_of_word_suffix", nullptr},
                        {"fuse_unk", false},
                        {"byte_fallback", false},
                        {"ignore_merges", file.text("tokenizer.ggml.pre", "") == "llama-bpe"},
                        {"vocab", std::move(vocabulary)},
                        {"merges", std::move(pairs)}}}};
  try {
    return whole.dump();
  } catch (const json::exception&) {
    fail("{}: a token of the tokenizer is not valid UTF-8", file.path());
  }
}

namespace {

// What a byte-level pre-tokenizer says about offsets changes no token.
json without_offsets(json part) {
  if (part.is_object()) part.erase("trim_offsets");
  if (part.is_structured())
    for (auto& inner : part) inner = without_offsets(inner);
  return part;
}

// The pre-tokenizer's name; empty where it has none in GGUF files.
std::string name_of_pre_tokenizer(const json& part) {
  for (const auto& [name, known] : pre_tokenizers())
    if (without_offsets(known) == without_offsets(part)) return name;
  return "";
}

struct Arrays {
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
};

Arrays arrays_of(const json& whole) {
  constexpr int32_t normal = 1, unused = 5;
  const json& model = whole.at("model");
  Arrays arrays;
  const auto place = [&](size_t id, const std::string& text, int32_t type) {
    if (id >= arrays.tokens.size()) arrays.tokens.resize(id + 1), arrays.types.resize(id + 1, unused);
    arrays.tokens[id] = text, arrays.types[id] = type;
  };
  for (const auto& [text, id] : model.at("vocab").items()) place(id.get<size_t>(), text, normal);
  for (const auto& token : whole.value("added_tokens", json::array()))
    place(token.at("id").get<size_t>(), token.at("content").get<std::string>(),
          token.value("special", false) ? kControl : kUserDefined);
  for (const auto& merge : model.at("merges"))
    arrays.merges.push_back(merge.is_string()
                                ? merge.get<std::string>()
                                : merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>());
  return arrays;
}

std::string no_tokenizer(GgufWriter& writer, const std::string& why) {
  writer.add_text("tokenizer.ggml.model", "no_vocab");
  return why.empty() ? "" : "the tokenizer is left out: " + why;
}

// The chat template beside a tokenizer.json, and the ids of the tokens that begin and end a text.
void add_companions(const std::filesystem::path& folder, const Arrays& arrays, GgufWriter& writer) {
  const auto file = folder / "tokenizer_config.json", chat = folder / "chat_template.jinja";
  const json config = std::filesystem::exists(file) ? json::parse(read_file(file)) : json::object();
  for (const auto& [key, theirs] : {std::pair("bos_token", "bos"), std::pair("eos_token", "eos")}) {
    json text = config.value(key, json());
    if (text.is_object()) text = text.value("content", json());
    const auto found =
        std::find(arrays.tokens.begin(), arrays.tokens.end(), text.is_string() ? text : json(""));
    if (found != arrays.tokens.end())
      writer.add(fmt::format("tokenizer.ggml.{}_token_id", theirs),
                 static_cast<std::uint64_t>(found - arrays.tokens.begin()));
  }
  if (std::filesystem::exists(chat))
    writer.add_text("tokenizer.chat_template", read_file(chat));
  else if (config.contains("chat_template") && config["chat_template"].is_string())
    writer.add_text("tokenizer.chat_template", config["chat_template"].get<std::string>());
}

}  // namespace

std::string add_tokenizer(const Json& meta, GgufWriter& writer) {
  if (!meta.contains("tokenizer")) return no_tokenizer(writer, "");
  const auto& kept = meta.at("tokenizer");
  const std::filesystem::path path = kept.is_string() ? kept.get<std::string>() : "";
  if (path.extension() == ".gguf") {
    const GgufFile file(path);
    for (const auto& [key, value] : file.header().metadata)
      if (key.starts_with("tokenizer.")) writer.add(key, value);
    return "";
  }
  const json whole = json::parse(kept.is_string() ? read_file(path) : kept.dump());
  if (whole.value("/model/type"_json_pointer, "") != "BPE")
    return no_tokenizer(writer, "it is no byte-level BPE");
  const auto pre = name_of_pre_tokenizer(whole.value("pre_tokenizer", json()));
  if (pre.empty()) return no_tokenizer(writer, "its pre-tokenizer has no name in GGUF files");
  const auto arrays = arrays_of(whole);
  writer.add_text("tokenizer.ggml.model", "gpt2");
  writer.add_text("tokenizer.ggml.pre", pre);
  writer.add_strings("tokenizer.ggml.tokens", arrays.tokens);
  writer.add_integers("tokenizer.ggml.token_type", arrays.types);
  writer.add_strings("tokenizer.ggml.merges", arrays.merges);
  writer.add("tokenizer.ggml.add_bos_token", false);
  if (!path.empty()) add_companions(path.parent_path(), arrays, writer);
  return "";
}

}  // namespace formwork
