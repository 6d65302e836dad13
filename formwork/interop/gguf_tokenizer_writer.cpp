#include "formwork/interop/gguf_tokenizer_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/core/file.h"
#include "formwork/core/json_text.h"
#include "formwork/interop/gguf_file.h"
#include "formwork/text/formats/tokenizer_parts.h"
#include "formwork/text/tokenizer.h"

namespace formwork {

using nlohmann::json;

namespace {

// What a byte-level pre-tokenizer says about offsets changes no token.
json without_offsets(json part) {
  if (part.is_object()) part.erase("trim_offsets");
  if (part.is_structured())
    for (auto& inner : part) inner = without_offsets(inner);
  return part;
}

// The pre-tokenizer's name; empty where it has none that is known.
std::string name_of_pre_tokenizer(const json& part) {
  for (const char* name : {"gpt-2", "smollm", "llama-bpe", "qwen2"}) {
    TokenizerParts parts;
    parts.model = "gpt2", parts.pre = name, parts.tokens = {"a"};
    const auto known = tokenizer_from_parts(parts, name)->to_json().at("pre_tokenizer");
    if (without_offsets(known) == without_offsets(part)) return name;
  }
  return "";
}

struct Arrays {
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
};

Arrays arrays_of(const json& whole) {
  const auto number = [](TokenType type) { return static_cast<int32_t>(type); };
  const int32_t normal = number(TokenType::normal), unused = number(TokenType::unused);
  const json& model = whole.at("model");
  Arrays arrays;
  const auto place = [&](size_t id, const std::string& text, int32_t type) {
    if (id >= arrays.tokens.size()) arrays.tokens.resize(id + 1), arrays.types.resize(id + 1, unused);
    arrays.tokens[id] = text, arrays.types[id] = type;
  };
  for (const auto& [text, id] : model.at("vocab").items()) place(id.get<size_t>(), text, normal);
  for (const auto& token : whole.value("added_tokens", json::array()))
    place(token.at("id").get<size_t>(), token.at("content").get<std::string>(),
          number(token.value("special", false) ? TokenType::control : TokenType::user_defined));
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
  const json config = std::filesystem::exists(file) ? read_json<json>(file) : json::object();
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
  const bool is_folder = kept.is_string() && std::filesystem::is_directory(path);
  const json whole = is_folder          ? load_tokenizer(path)->to_json()
                     : kept.is_string() ? read_json<json>(path)
                                        : json::parse(kept.dump());
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
  if (!path.empty()) add_companions(is_folder ? path : path.parent_path(), arrays, writer);
  return "";
}

}  // namespace formwork
