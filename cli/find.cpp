// formwork find NAME: the files of a published system or of a part, and where it is registered.
#include "command.h"
#include "formwork/studies/registrations.h"
#include "formwork/studies/system.h"

namespace formwork::cli::find_command {
namespace {

struct Arguments {
  std::string name;
  bool json = false;
};

// "mixers" of a registered name, with its place, or null when the sources do not say it.
void add_part(Table& table, const std::string& kind, const std::string& name) {
  for (const auto& place : registrations()) {
    if (place.kind != kind || place.name != name) continue;
    for (const auto& file : with_header(place.file)) {
      Json row = {{"what", kind}, {"name", name}, {"file", file}, {"registered", nullptr}};
      if (file == place.file) row["registered"] = fmt::format("{}:{}", place.file, place.line);
      table.add(row);
    }
  }
}

// Every file of the system once: those that its parts register in first.
void add_system(Table& table, const System& system) {
  for (const auto& [kind, names] : system.parts)
    for (const auto& name : names) add_part(table, kind, name);
  if (!system.recipe.empty()) add_part(table, "studies", system.recipe);
  const auto is_there = [&](const std::string& file) {
    return std::any_of(table.rows().begin(), table.rows().end(),
                       [&](const Json& row) { return row.at("file") == file; });
  };
  const auto add_file = [&](const std::string& file) {
    if (!is_there(file))
      table.add({{"what", "system"}, {"name", system.name}, {"file", file}, {"registered", nullptr}});
  };
  for (const auto& file : system.files) add_file(file);
  add_file(fmt::format("systems/{}/{}.json", system.family, system.key));
}

void run(const Arguments& arguments) {
  Table table({{"what"}, {"name"}, {"file"}, {"registered"}});
  const auto* system = find_system(arguments.name);
  if (system) add_system(table, *system);
  std::vector<std::string> known;
  for (const auto& kind : kind_names()) {
    const auto names = names_of_kind(kind);
    known.insert(known.end(), names.begin(), names.end());
    const bool named = std::find(names.begin(), names.end(), arguments.name) != names.end();
    const bool listed = std::any_of(table.rows().begin(), table.rows().end(), [&](const Json& row) {
      return row.at("what") == kind && row.at("name") == arguments.name;
    });
    if (named && !listed) add_part(table, kind, arguments.name);
  }
  if (table.rows().empty()) {
    for (const auto& other : systems()) known.push_back(other.key);
    const auto near = nearest(arguments.name, known);
    fail("no system or part is called '{}'{}", arguments.name,
         near.empty() ? "; `formwork systems` and `formwork list KIND` show the names"
                      : fmt::format("; did you mean '{}'?", near));
  }
  print(table, arguments.json);
}

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const auto& system : systems()) names.push_back(system.key);
  for (const auto& kind : kind_names())
    for (auto& name : names_of_kind(kind)) names.push_back(std::move(name));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("find", "the files of a system or part, and where it is registered");
  offer(command->add_option("name", arguments->name,
                            "a part's name, or a system's: slicegpt, \"SliceGPT\" or its number"),
        all_names())
      ->required();
  add_json_flag(*command, arguments->json);
  command->footer("Example:  formwork find mamba");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::find_command
