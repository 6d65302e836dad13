// formwork systems: the table of published systems and how far each is built.
#include "command.h"
#include "formwork/studies/recorded_run.h"
#include "formwork/studies/system.h"

namespace formwork::cli::systems_command {
namespace {

struct Arguments {
  std::string family, state;
  bool json = false;
};

std::vector<std::string> families() {
  std::set<std::string> names;
  for (const auto& system : systems()) names.insert(system.family);
  return {names.begin(), names.end()};
}

Json row_of(const System& system) {
  const auto& paper = system.paper;
  Json cited = {{"title", paper.title}, {"year", paper.year}};
  if (!paper.authors.empty()) cited["authors"] = paper.authors;
  if (!paper.arxiv.empty()) cited["arxiv"] = paper.arxiv;
  Json row = {{"number", system.number}, {"name", system.name},       {"key", system.key},
              {"family", system.family}, {"state", system.state()},   {"recipe", nullptr},
              {"year", paper.year},      {"kind", system.kind},       {"paper", cited},
              {"parts", system.parts},   {"missing", system.missing}, {"files", system.files}};
  if (!system.recipe.empty()) row["recipe"] = system.recipe;
  if (!system.claim.empty()) row["claim"] = system.claim;
  if (!system.exact.empty()) row["exact"] = system.exact;
  if (!system.parity.with.empty()) {
    row["parity"] = system.parity.error;
    row["parity with"] = system.parity.with;
    row["parity how"] = system.parity.how;
  }
  if (const auto* run = recorded_run(system.key)) {
    row["claims hold"] = fmt::format("{} of {}", run->held, run->expected);
    row["measured"] = run->date.substr(0, 10);
    row["recorded run"] = run->summary();
  }
  return row;
}

void run(const Arguments& arguments) {
  if (const auto all = families();
      !arguments.family.empty() && std::find(all.begin(), all.end(), arguments.family) == all.end())
    fail_unknown("family", arguments.family, all);
  if (const auto& all = system_states();
      !arguments.state.empty() && std::find(all.begin(), all.end(), arguments.state) == all.end())
    fail_unknown("state", arguments.state, all);
  Table table({{"number"},
               {"name"},
               {"key"},
               {"family"},
               {"state"},
               {"parity", "", ".1e"},
               {"recipe"},
               {"claims hold"},
               {"measured"},
               {"year", "", "d"}});
  std::map<std::string, int64_t> counts;
  for (const auto& system : systems()) {
    if (!arguments.family.empty() && system.family != arguments.family) continue;
    if (!arguments.state.empty() && system.state() != arguments.state) continue;
    ++counts[system.state()];
    table.add(row_of(system));
  }
  print(table, arguments.json);
  if (arguments.json) return;
  std::vector<std::string> parts;
  for (const auto& state : system_states()) parts.push_back(fmt::format("{} {}", counts[state], state));
  fmt::print("{} systems: {}\n", table.rows().size(), fmt::join(parts, ", "));
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("systems", "the published systems, and how far each is built");
  offer(command->add_option("--family", arguments->family,
                            fmt::format("only this family: {}", fmt::join(families(), ", "))),
        families());
  offer(command->add_option(
            "--state", arguments->state,
            "only these: absent; partly; built (every part, and a recipe); exact (tests of what "
            "it computes); parity (compared with other code); claim (its recorded run holds)"),
        system_states());
  add_json_flag(*command, arguments->json);
  command->footer("Example:  formwork systems --family compress");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::systems_command
