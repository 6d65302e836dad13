// The special tokens that a Hugging Face folder names in special_tokens_map.json, tokenizer_config.json and
// added_tokens.json.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formwork/text/tokenizer.h"

namespace formwork {

// One token with a role: {"content": "<mask>", "lstrip": true, ...}.
using RoleTokens = std::map<std::string, nlohmann::json>;  // by "bos_token", "eos_token", ...

class SpecialTokens {
 public:
  explicit SpecialTokens(const std::filesystem::path& folder);

  const nlohmann::json& config() const { return config_; }  // tokenizer_config.json, or {}
  // The token of a role, or `otherwise` where no file names one.
  std::string role(const std::string& role, const std::string& otherwise = "") const;
  // Names the token of a role where no file does, with what differs from a plain special token.
  void set_default(const std::string& role, const std::string& content,
                   const nlohmann::json& more = nlohmann::json::object());

  // `added_tokens` of a tokenizer.json: all tokens of these files that have an id, in `vocab` or in the
  // files.
  nlohmann::json added_tokens(const nlohmann::json& vocab) const;
  // The ids of roles that the tokenizer knows; the others stay as they are.
  void read_ids(const Tokenizer& tokenizer, SpecialIds& ids) const;

 private:
  void read_roles(const nlohmann::json& content);

  nlohmann::json config_, with_ids_ = nlohmann::json::array();  // with_ids_: tokens that name their id
  RoleTokens roles_;
  std::vector<nlohmann::json> more_;  // additional special tokens
};

}  // namespace formwork
