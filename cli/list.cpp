// formwork list KIND: everything registered of a kind, a line each.
#include "command.h"

namespace formwork::cli {
namespace {

std::vector<std::string> kinds() {
  std::vector<std::string> names;
  for (const auto& listing : kind_listings()) names.emplace_back(listing.kind);
  std::sort(names.begin(), names.end());
  return names;
}

void run(const std::string& kind, bool json) {
  for (const auto& listing : kind_listings()) {
    if (kind != listing.kind) continue;
    Table table({{"name"}, {"what it is"}});
    for (const auto& [name, doc] : listing.docs()) table.add({{"name", name}, {"what it is", doc}});
    print(table, json);
    return;
  }
  fail_unknown("kind", kind, kinds());
}

void add(CLI::App& app) {
  struct Arguments {
    std::string kind;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("list", "what is registered of a kind");
  command->add_option("kind", arguments->kind, fmt::format("one of {}", fmt::join(kinds(), ", ")))
      ->required();
  command->add_flag("--json", arguments->json, "print an array with one object a row");
  command->footer("Example:  formwork list mixers");
  command->callback([arguments] { run(arguments->kind, arguments->json); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli
