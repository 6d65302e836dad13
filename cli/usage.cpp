#include "cli/usage.h"

#include <algorithm>

#include "formwork/core/error.h"

namespace formwork::cli {

int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const CLI::App& command = chosen.empty() ? app : *chosen.front();
  std::vector<std::string> known;
  for (const auto* option : command.get_options())
    for (const auto& name : option->get_lnames()) known.push_back("--" + name);
  for (const auto* sub : command.get_subcommands({})) known.push_back(sub->get_name());
  std::string message = error.what();
  const auto extras = app.remaining(true);
  if (!extras.empty()) {
    const auto near = nearest(extras.front(), known);
    message = fmt::format("unknown argument '{}'{}", extras.front(),
                          near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
  }
  std::replace(message.begin(), message.end(), '\n', ' ');
  fmt::print(stderr, "{}: {}\n", app.get_name(), message);
  return 2;
}

}  // namespace formwork::cli
