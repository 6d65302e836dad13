#include "formwork/interop/gguf_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/core/file.h"
#include "formwork/core/json_text.h"
#include "formwork/interop/gguf_file.h"
#include "formwork/text/formats/tokenizer_parts.h"

namespace formwork {
namespace {

using nlohmann::json;

std::vector<std::string> texts(const GgufFile& file, const std::string& key) {
  if (!file.has(key)) return {};
  const auto views = file.strings(key);
  return {views.begin(), views.end()};
}

SpecialIds special_ids(const GgufFile& file) {
  SpecialIds ids;
  const auto take = [&](const char* name, std::optional<int64_t>& id) {
    const auto key = fmt::format("tokenizer.ggml.{}_token_id", name);
    if (file.has(key)) id = file.integer(key);
  };
  take("bos", ids.bos), take("eos", ids.eos), take("padding", ids.pad), take("unknown", ids.unk);
  take("cls", ids.cls), take("seperator", ids.sep), take("mask", ids.mask);
  return ids;
}

}  // namespace

std::unique_ptr<Tokenizer> gguf_tokenizer(const std::filesystem::path& path) {
  const GgufFile file(path);
  const std::string start = "tokenizer.ggml.";
  TokenizerParts parts;
  parts.model = file.text(start + "model");
  parts.pre = file.text(start + "pre", "default");
  parts.tokens = texts(file, start + "tokens");
  parts.merges = texts(file, start + "merges");
  if (file.has(start + "token_type"))
    for (const auto type : file.integers(start + "token_type"))
      parts.types.push_back(static_cast<int32_t>(type));
  if (file.has(start + "scores")) parts.scores = file.floats_of(start + "scores");
  parts.special = special_ids(file);
  if (file.has(start + "add_bos_token")) parts.add_bos = file.flag(start + "add_bos_token");
  if (file.has(start + "add_eos_token")) parts.add_eos = file.flag(start + "add_eos_token");
  parts.add_space_prefix = file.flag(start + "add_space_prefix", true);
  parts.remove_extra_whitespaces = file.flag(start + "remove_extra_whitespaces", false);
  return tokenizer_from_parts(parts, file.path());
}

std::string gguf_chat_template(const std::filesystem::path& path) {
  return GgufFile(path).text("tokenizer.chat_template", "");
}

void unpack_gguf_tokenizer(const std::filesystem::path& path, const std::filesystem::path& folder) {
  if (!GgufFile(path).has("tokenizer.ggml.tokens")) return;
  const auto tokenizer = gguf_tokenizer(path);
  write_atomically(folder / "tokenizer.json", tokenizer->to_json().dump());
  json config = json::object();
  const auto name = [&](const char* role, std::optional<int64_t> id) {
    if (id) config[role] = tokenizer->piece(*id);
  };
  const auto& special = tokenizer->special();
  name("bos_token", special.bos), name("eos_token", special.eos), name("pad_token", special.pad);
  name("unk_token", special.unk);
  if (const auto text = gguf_chat_template(path); !text.empty()) config["chat_template"] = text;
  write_atomically(folder / "tokenizer_config.json", config.dump(2) + "\n");
}

}  // namespace formwork
