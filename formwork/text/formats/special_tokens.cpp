#include "formwork/text/formats/special_tokens.h"

#include "formwork/core/json_text.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/models/bpe_json.h"

namespace formwork {
namespace {

using nlohmann::json;
using std::filesystem::path;

constexpr std::pair<const char*, std::optional<int64_t> SpecialIds::*> kRoles[] = {
    {"bos_token", &SpecialIds::bos},  {"eos_token", &SpecialIds::eos}, {"pad_token", &SpecialIds::pad},
    {"unk_token", &SpecialIds::unk},  {"cls_token", &SpecialIds::cls}, {"sep_token", &SpecialIds::sep},
    {"mask_token", &SpecialIds::mask}};

json read_object_if_there(const path& file) {
  json content = std::filesystem::exists(file) ? read_json<json>(file) : json::object();
  return content.is_object() ? content : json::object();
}

// "<s>" or {"content": "<s>", ...}; an empty object for anything else.
json token_of(const json& value) {
  if (value.is_string() && !value.get_ref<const std::string&>().empty()) return {{"content", value}};
  return value.is_object() && value.contains("content") && value["content"].is_string() ? value
                                                                                        : json::object();
}

}  // namespace

SpecialTokens::SpecialTokens(const path& folder)
    : config_(read_object_if_there(folder / "tokenizer_config.json")) {
  read_roles(read_object_if_there(folder / "special_tokens_map.json"));
  read_roles(config_);
  const auto file = folder / "added_tokens.json";
  const json added = read_object_if_there(file);
  for (const auto& [content, id] : added.items()) {
    if (!id.is_number_integer())
      fail("{}: expected the id of '{}', found {}", file.string(), content, shown(id));
    with_ids_.push_back({{"id", id}, {"content", content}, {"special", false}, {"normalized", true}});
  }
  if (!config_.contains("added_tokens_decoder") || !config_["added_tokens_decoder"].is_object()) return;
  for (const auto& [id, value] : config_["added_tokens_decoder"].items()) {
    json token = token_of(value);
    const bool number =
        !id.empty() && id.size() < 10 && id.find_first_not_of("0123456789") == std::string::npos;
    if (token.empty() || !number)
      fail("{}: 'added_tokens_decoder': expected an id and its token, found '{}': {}",
           (folder / "tokenizer_config.json").string(), id, shown(value));
    token["id"] = std::stoll(id);
    with_ids_.push_back(std::move(token));
  }
}

void SpecialTokens::read_roles(const json& content) {
  for (const auto& [role, id] : kRoles) {
    if (!content.contains(role)) continue;
    const json token = token_of(content[role]);
    // A text says less than an object for the same token.
    if (token.empty() || (token.size() == 1 && this->role(role) == token["content"])) continue;
    roles_[role] = token;
  }
  if (content.contains("additional_special_tokens") && content["additional_special_tokens"].is_array())
    for (const json& value : content["additional_special_tokens"])
      if (json token = token_of(value); !token.empty()) more_.push_back(std::move(token));
}

std::string SpecialTokens::role(const std::string& role, const std::string& otherwise) const {
  const auto found = roles_.find(role);
  return found == roles_.end() ? otherwise : found->second.at("content").get<std::string>();
}

void SpecialTokens::set_default(const std::string& role, const std::string& content, const json& more) {
  json token = more;
  token["content"] = content;
  roles_.emplace(role, std::move(token));
}

json SpecialTokens::added_tokens(const json& vocab) const {
  json list = json::array();
  const auto add = [&](const json& token, bool special) {
    const auto& content = token.at("content").get_ref<const std::string&>();
    for (json& known : list)
      if (known["content"] == content) {
        if (special) known["special"] = true;
        return;
      }
    const json id = vocab.contains(content) ? vocab[content] : token.value("id", json());
    if (!id.is_number_integer() || content.empty()) return;
    json entry = special_token_json(id.get<int64_t>(), content);
    entry["special"] = special || token.value("special", json(false)) == json(true);
    for (const char* flag : {"lstrip", "rstrip", "single_word", "normalized"})
      if (token.contains(flag)) entry[flag] = token[flag];
    list.push_back(std::move(entry));
  };
  for (const json& token : with_ids_) add(token, false);
  for (const auto& [role, token] : roles_) add(token, true);
  for (const json& token : more_) add(token, true);
  return list;
}

void SpecialTokens::read_ids(const Tokenizer& tokenizer, SpecialIds& ids) const {
  for (const auto& [role, id] : kRoles)
    if (const auto found = tokenizer.id_of(this->role(role)); found && roles_.count(role)) ids.*id = found;
}

}  // namespace formwork
