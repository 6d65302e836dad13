#include "command.h"

#include <unistd.h>

#include "formwork/core/file.h"
#include "formwork/models/built_in_specs.h"

namespace formwork::cli {

std::vector<Register>& commands() {
  static std::vector<Register> list;
  return list;
}

std::vector<std::string>& program_arguments() {
  static std::vector<std::string> words;
  return words;
}

namespace {

Json parse_value(const std::string& text) {
  auto json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json(text) : json;
}

// "--data_root" and, for who prefers it, "--data-root".
std::string option_names(const std::string& field) {
  std::string other = field;
  std::replace(other.begin(), other.end(), '_', '-');
  return other == field ? "--" + field : fmt::format("--{},--{}", field, other);
}

}  // namespace

void FieldOptions::flag(const char* name, bool&, const char* doc) {
  app_.add_flag_callback(
      option_names(name), [&values = values_, key = std::string(name)] { values[key] = true; }, doc);
}

CLI::Option* FieldOptions::add(const char* name, const char* doc, bool literal) {
  return app_.add_option_function<std::string>(
      option_names(name),
      [&values = values_, key = std::string(name), literal](const std::string& text) {
        values[key] = literal ? Json(text) : parse_value(text);
      },
      doc);
}

std::map<const CLI::Option*, std::vector<std::string>>& offers() {
  static std::map<const CLI::Option*, std::vector<std::string>> table;
  return table;
}

CLI::Option* offer(CLI::Option* option, std::vector<std::string> names) {
  offers()[option] = std::move(names);
  return option;
}

std::vector<std::string> names_of_kind(const std::string& kind) {
  std::vector<std::string> names;
  for (const auto& listing : kind_listings())
    if (kind == listing.kind)
      for (const auto& [name, doc] : listing.docs()) names.push_back(name);
  return names;
}

std::vector<std::string> kind_names() {
  std::vector<std::string> names;
  for (const auto& listing : kind_listings()) names.emplace_back(listing.kind);
  std::sort(names.begin(), names.end());
  return names;
}

void refuse_without_effect(const CLI::App& command, const std::vector<std::string>& names,
                           const std::string& why) {
  for (const auto& name : names)
    if (const auto* option = command.get_option_no_throw(name); option && option->count() > 0)
      fail("{}: {} has no effect: {}", command.get_name(), name, why);
}

void add_spec_argument(CLI::App& command, std::string& spec) {
  offer(command.add_option("spec", spec,
                           fmt::format("a Spec file, a model folder, or a built-in Spec ({})",
                                       fmt::join(built_in_spec_names(), ", "))),
        built_in_spec_names())
      ->required();
}

void add_model_argument(CLI::App& command, std::string& model) {
  command.add_option("model", model, "a model: Formwork's folder, or one of Hugging Face")->required();
}

void add_json_flag(CLI::App& command, bool& json) {
  command.add_flag("--json", json, "print an array with one object a row");
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
  offer(app.add_option("--task", name, "the task: text, copy, sort, ...; see `formwork list tasks`"),
        Registry<Task>::names())
      ->capture_default_str();
  app.add_option("--data", options, "an option of the task as key=value: file=PATH, length=64; repeatable");
}

PartSpec TaskChoice::spec() const {
  PartSpec spec(name);
  spec.options = parse_pairs(options, "--data");
  return spec;
}

std::unique_ptr<Task> TaskChoice::make(Json& meta) const {
  auto task = Registry<Task>::make(spec());
  task->prepare(meta);
  return task;
}

void DecodeChoice::add_to(CLI::App& app) {
  offer(app.add_option("--decode", name, "how tokens are chosen; see `formwork list decode`"),
        names_of_kind("decode"))
      ->capture_default_str();
  app.add_option("--set", options, "an option of the decode strategy as key=value; repeatable");
  app.add_option("--seed", seed, "of the draws")->capture_default_str()->check(CLI::NonNegativeNumber);
}

PartSpec DecodeChoice::spec() const { return {name, parse_pairs(options, "--set")}; }

std::unique_ptr<DecodeStrategy> DecodeChoice::make(const CLI::App& command) const {
  auto strategy = Registry<DecodeStrategy>::make(spec());
  if (!strategy->draws()) refuse_without_effect(command, {"--seed"}, fmt::format("'{}' draws nothing", name));
  return strategy;
}

void RowChoice::add_to(CLI::App& app) {
  app.add_option("--rows", rows, "rows of data")->capture_default_str()->check(CLI::Range(1, 1 << 20));
  app.add_option("--seed", seed, "of the rows")->capture_default_str()->check(CLI::NonNegativeNumber);
  task.add_to(app);
}

std::vector<Record> RowChoice::read(const Model& model) const {
  constexpr int64_t kBatches = 4;
  Json meta = model.spec().meta;
  const auto source = task.make(meta);
  source->check(model);
  std::vector<Record> batches;
  const int64_t each = (rows + kBatches - 1) / kBatches;
  for (int64_t i = 0; i * each < rows; ++i) {
    const auto batch = source->training_batch(each, static_cast<uint64_t>(seed), i);
    // The last batch of a table's rows may be shorter.
    batches.push_back(batch.narrow(0, std::min(batch.rows(), rows - i * each)).inputs);
  }
  return batches;
}

Json TaskChoice::in_force() const { return Registry<Task>::in_force(spec()); }

Spec find_spec(const std::string& name) {
  const auto known = built_in_spec_names();
  if (std::find(known.begin(), known.end(), name) != known.end()) return built_in_spec(name);
  if (std::filesystem::is_directory(name) || holds_model(name)) return read_spec(name);
  if (std::filesystem::exists(name)) return Spec::from_file(name);
  if (name.find('/') != std::string::npos || std::filesystem::path(name).has_extension())
    fail("expected a model, a JSON file or a built-in Spec ({}), found no file '{}'", fmt::join(known, ", "),
         name);
  fail_unknown("Spec (a JSON file, or built-in)", name, known);
}

void create_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error) fail("cannot create '{}': {}", folder.string(), error.message());
}

void check_report(const std::filesystem::path& report) {
  if (std::filesystem::is_directory(report))
    fail("--report: '{}' is a folder; name a file in it", report.string());
  create_folder(report.parent_path());
  auto probe = report;
  probe += fmt::format(".tmp-{}", ::getpid());
  { const OutputFile file(probe); }
  std::filesystem::remove(probe);
}

void print(const Table& table, bool json) {
  if (json)
    fmt::print("{}\n", table.json().dump(2));
  else
    table.print();
}

}  // namespace formwork::cli
