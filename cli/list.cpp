// formwork list KIND [NAME]: everything registered of a kind, a line each; the options of one.
#include "command.h"

namespace formwork::cli::list_command {
namespace {

const KindListing& find_kind(const std::string& kind) {
  for (const auto& listing : kind_listings())
    if (kind == listing.kind) return listing;
  fail_unknown("kind", kind, kind_names());
}

// "number, 0 to 1"; "one of a, b"; "mixers": a part of that kind.
std::string values_of(const Json& field) {
  const auto type = field.at("type").get<std::string>();
  if (field.contains("enum"))
    return fmt::format("one of {}", fmt::join(field["enum"].get<std::vector<std::string>>(), ", "));
  if (field.contains("kind")) {
    const auto kind = field["kind"].get<std::string>();
    return type == "array" ? fmt::format("a list of {}", kind) : fmt::format("one of {}", kind);
  }
  if (!field.contains("minimum")) return type;
  constexpr double kBoundless = 1e12;
  const auto low = field["minimum"].get<double>(), high = field["maximum"].get<double>();
  if (low < -kBoundless && high > kBoundless) return type;
  if (high >= kBoundless) return fmt::format("{}, at least {}", type, low);
  return fmt::format("{}, {} to {}", type, low, high);
}

Json option_rows(const Json& schema) {
  Json rows = Json::array();
  for (const auto& [name, field] : schema.items())
    rows.push_back({{"option", name},
                    {"values", values_of(field)},
                    {"default", field.at("default").dump()},
                    {"what it is", field.at("description")}});
  return rows;
}

// In JSON each has its options, too.
Table names_table(const KindListing& listing) {
  Table table({{"name"}, {"what it is"}});
  for (const auto& [name, doc] : listing.docs())
    table.add({{"name", name}, {"what it is", doc}, {"options", option_rows(listing.schema(name))}});
  return table;
}

void run(const std::string& kind, const std::string& name, bool json) {
  const auto& listing = find_kind(kind);
  if (name.empty()) return print(names_table(listing), json);
  Table table({{"option"}, {"values"}, {"default"}, {"what it is"}});
  for (const auto& row : option_rows(listing.schema(name))) table.add(row);
  if (table.rows().empty() && !json)
    fmt::print("{}: {}; no options\n", name, listing.docs().at(name));
  else
    print(table, json);
}

void add(CLI::App& app) {
  struct Arguments {
    std::string kind, name;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("list", "what is registered of a kind, and the options of one");
  const auto kinds = kind_names();
  offer(command->add_option("kind", arguments->kind, fmt::format("one of {}", fmt::join(kinds, ", "))), kinds)
      ->required();
  command->add_option("name", arguments->name, "one of the kind, whose options are listed");
  add_json_flag(*command, arguments->json);
  command->footer("Example:  formwork list mixers attention");
  command->callback([arguments] { run(arguments->kind, arguments->name, arguments->json); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::list_command
