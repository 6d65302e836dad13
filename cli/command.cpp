#include "command.h"

#include <filesystem>

namespace formwork::cli {

std::vector<Register>& commands() {
  static std::vector<Register> list;
  return list;
}

namespace {

Json parse_value(const std::string& text) {
  auto json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json(text) : json;
}

}  // namespace

void FieldOptions::flag(const char* name, bool&, const char* doc) {
  app_.add_flag_callback(
      std::string("--") + name, [&values = values_, key = std::string(name)] { values[key] = true; }, doc);
}

void FieldOptions::add(const char* name, const char* doc, bool literal) {
  app_.add_option_function<std::string>(
      std::string("--") + name,
      [&values = values_, key = std::string(name), literal](const std::string& text) {
        values[key] = literal ? Json(text) : parse_value(text);
      },
      doc);
}

Json parse_pairs(const std::vector<std::string>& pairs, const std::string& what) {
  Json json = Json::object();
  for (const auto& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) fail("{}: expected key=value, found '{}'", what, pair);
    json[pair.substr(0, equals)] = parse_value(pair.substr(equals + 1));
  }
  return json;
}

void TaskChoice::add_to(CLI::App& app) {
  app.add_option("--task", name, "the task: text, copy, sort, ...; see `formwork list tasks`")
      ->capture_default_str();
  app.add_option("--data", options, "an option of the task as key=value: file=PATH, length=64; repeatable");
}

std::unique_ptr<Task> TaskChoice::make(Json& meta) const {
  PartSpec spec(name);
  spec.options = parse_pairs(options, "--data");
  auto task = Registry<Task>::make(spec);
  task->prepare(meta);
  return task;
}

namespace {

// Small models to begin with; "vocab" and "head" come from the task.
const std::map<std::string, const char*>& built_in() {
  static const std::map<std::string, const char*> table = {
      {"tiny-decoder",
       R"({"formwork": 1, "model": {"type": "decoder", "width": 64, "layers": {"repeat": 4, "pattern":
        [{"mixer": {"type": "attention", "heads": 4, "position": "rotary"}, "channel": {"type": "gated_mlp", "hidden": 176}}]}}})"},
      {"demo-decoder",
       R"({"formwork": 1, "model": {"type": "decoder", "width": 128, "layers": {"repeat": 4, "pattern":
        [{"mixer": {"type": "attention", "heads": 4, "position": "rotary"}, "channel": {"type": "gated_mlp", "hidden": 344}}]}}})"},
      {"base-decoder",
       R"({"formwork": 1, "model": {"type": "decoder", "width": 256, "layers": {"repeat": 6, "pattern":
        [{"mixer": {"type": "attention", "heads": 8, "position": "rotary"}, "channel": {"type": "gated_mlp", "hidden": 688}}]}}})"},
      {"tiny-mamba",
       R"({"formwork": 1, "model": {"type": "decoder", "width": 64, "layers": {"repeat": 4, "pattern":
        [{"mixer": "mamba"}]}}})"}};
  return table;
}

}  // namespace

std::vector<std::string> spec_names() {
  std::vector<std::string> names;
  for (const auto& [name, json] : built_in()) names.push_back(name);
  return names;
}

Spec find_spec(const std::string& name) {
  const auto found = built_in().find(name);
  if (found != built_in().end()) return Spec::from_json(Json::parse(found->second), name);
  if (std::filesystem::is_directory(name)) return Spec::from_file(name + "/formwork.json");
  if (std::filesystem::exists(name)) return Spec::from_file(name);
  fail_unknown("Spec (a JSON file, or built-in)", name, spec_names());
}

void print(const Table& table, bool json) {
  if (json)
    fmt::print("{}\n", table.json().dump(2));
  else
    table.print();
}

}  // namespace formwork::cli
