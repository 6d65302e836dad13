// modules.json of sentence-transformers (Reimers and Gurevych, 2019): a transformer, then a pooling of its
// tokens and, where asked, a scaling to unit length. Other modules are refused by name.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "formwork/core/spec.h"

namespace formwork {

struct SentenceModules {
  std::string transformer;  // its folder, below the model's
  std::string pool = "mean";
  bool normalize = false;
  Json settings;  // of sentence_bert_config.json: the longest input

  // Null where the folder has no modules.json.
  static std::optional<SentenceModules> read(const std::filesystem::path& folder);
  static SentenceModules from_json(const Json& json);
  Json to_json() const;
  // Puts the embedder in the place of an encoder's head. `where` names the model in errors.
  void apply(Spec& spec, const std::string& where) const;
  // The files that make `folder`, which holds the transformer, a model of sentence-transformers.
  void write(const std::filesystem::path& folder) const;
};

}  // namespace formwork
