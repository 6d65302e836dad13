// formwork list KIND: everything registered of a kind, a line each.
#include "command.h"

namespace formwork::cli {
namespace {

void run(const std::string& kind, bool json) {
  for (const auto& listing : kind_listings()) {
    if (kind != listing.kind) continue;
    Table table({{"name"}, {"what it is"}});
    for (const auto& [name, doc] : listing.docs()) table.add({{"name", name}, {"what it is", doc}});
    print(table, json);
    return;
  }
  fail_unknown("kind", kind, kind_names());
}

void add(CLI::App& app) {
  struct Arguments {
    std::string kind;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("list", "what is registered of a kind");
  const auto kinds = kind_names();
  offer(command->add_option("kind", arguments->kind, fmt::format("one of {}", fmt::join(kinds, ", "))), kinds)
      ->required();
  add_json_flag(*command, arguments->json);
  command->footer("Example:  formwork list mixers");
  command->callback([arguments] { run(arguments->kind, arguments->json); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli
