#include "formwork/interop/sentence_transformers.h"

#include "formwork/core/file.h"
#include "formwork/core/json_text.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

// "sentence_transformers.models.Pooling", or in later versions a longer path to the same class.
std::string class_of(const Json& module, const std::string& where) {
  const auto type = module.is_object() ? module.value("type", Json()) : Json();
  if (!type.is_string()) fail("{}: expected modules with a \"type\", found {}", where, module.dump());
  const auto name = type.get<std::string>();
  return name.substr(name.rfind('.') + 1);
}

// A file of others may name folders below its own only.
std::string folder_of(const Json& module, const std::string& where) {
  const auto name = module.value("path", std::string());
  if (fs::path(name) != fs::path(name).filename() || name == "..")
    fail("{}: path '{}' is not a folder below", where, name);
  return name;
}

std::string pooling_of(const Json& config, const std::string& where) {
  // Older files have a flag for each mode, later ones its name.
  std::vector<std::string> modes;
  if (const Json named = config.value("pooling_mode", Json()); named.is_string())
    modes.push_back(named.get<std::string>());
  for (const auto& [key, value] : config.items())
    if (key.starts_with("pooling_mode_") && value == true) modes.push_back(key.substr(13));
  const std::map<std::string, std::string> known = {{"mean_tokens", "mean"},
                                                    {"mean", "mean"},
                                                    {"cls_token", "first"},
                                                    {"cls", "first"},
                                                    {"lasttoken", "last"}};
  if (modes.size() != 1 || !known.contains(modes[0]))
    fail("{}: expected one pooling of mean, cls and lasttoken, found '{}'", where, fmt::join(modes, "', '"));
  return known.at(modes[0]);
}

}  // namespace

std::optional<SentenceModules> SentenceModules::read(const fs::path& folder) {
  const auto path = folder / "modules.json";
  if (!fs::exists(path)) return std::nullopt;
  const Json list = read_json<Json>(path);
  const auto where = path.string();
  if (!list.is_array() || list.size() < 2 || class_of(list[0], where) != "Transformer" ||
      class_of(list[1], where) != "Pooling")
    fail("{}: expected a Transformer, a Pooling and perhaps a Normalize", where);
  SentenceModules modules;
  modules.transformer = folder_of(list[0], where);
  const auto pooling = folder / folder_of(list[1], where) / "config.json";
  modules.pool = pooling_of(read_json<Json>(pooling), pooling.string());
  for (size_t i = 2; i < list.size(); ++i) {
    if (const auto name = class_of(list[i], where); name != "Normalize")
      fail("{}: module '{}' is not known; known are Transformer, Pooling, Normalize", where, name);
    modules.normalize = true;
  }
  if (const auto settings = folder / modules.transformer / "sentence_bert_config.json"; fs::exists(settings))
    modules.settings = read_json<Json>(settings);
  return modules;
}

SentenceModules SentenceModules::from_json(const Json& json) {
  SentenceModules modules;
  modules.pool = json.at("pool"), modules.normalize = json.at("normalize");
  modules.settings = json.value("settings", Json());
  return modules;
}

Json SentenceModules::to_json() const {
  return {{"pool", pool}, {"normalize", normalize}, {"settings", settings}};
}

void SentenceModules::apply(Spec& spec, const std::string& where) const {
  if (spec.model.type != "encoder")
    fail("{}: sentence-transformers pool an encoder, found a {}", where, spec.model.type);
  spec.model.options["head"] = {{"type", "embedder"}, {"pool", pool}, {"normalize", normalize}};
}

void SentenceModules::write(const fs::path& folder) const {
  const auto module = [](int64_t index, const char* name, const char* path) {
    return Json{{"idx", index},
                {"name", std::to_string(index)},
                {"path", path},
                {"type", fmt::format("sentence_transformers.models.{}", name)}};
  };
  Json list = {module(0, "Transformer", ""), module(1, "Pooling", "1_Pooling")};
  if (normalize) list.push_back(module(2, "Normalize", "2_Normalize"));
  const auto put = [&](const fs::path& path, const Json& json) {
    fs::create_directories(path.parent_path());
    write_atomically(path, json.dump(2) + "\n");
  };
  put(folder / "modules.json", list);
  put(folder / "1_Pooling" / "config.json",
      {{"word_embedding_dimension", read_json<Json>(folder / "config.json").at("hidden_size")},
       {"pooling_mode_cls_token", pool == "first"},
       {"pooling_mode_mean_tokens", pool == "mean"},
       {"pooling_mode_max_tokens", false},
       {"pooling_mode_lasttoken", pool == "last"}});
  if (normalize) fs::create_directories(folder / "2_Normalize");
  if (!settings.is_null()) put(folder / "sentence_bert_config.json", settings);
}

}  // namespace formwork
