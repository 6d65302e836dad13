// The program: parses the command line, runs one command, and turns errors into one line and exit code 2.
#include <c10/util/Exception.h>

#include "command.h"
#include "formwork/core/memory.h"

namespace {

// One line for an option that no command knows, with the nearest that this one has.
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
    const auto near = formwork::nearest(extras.front(), known);
    message = fmt::format("unknown argument '{}'{}", extras.front(),
                          near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
  }
  fmt::print(stderr, "formwork: {}\n", message);
  return 2;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

int main(int argc, char** argv) {
  formwork::keep_freed_memory();
  CLI::App app{"Formwork: build, train, compress, explain and serve transformers, and compare them."};
  app.require_subcommand(1);
  app.footer("Begin with:  formwork train demo-decoder --task text --folder model --steps 300");
  for (const auto& add : formwork::cli::commands()) add(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  } catch (const formwork::Error& error) {
    fmt::print(stderr, "formwork: {}\n", error.what());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "formwork: out of memory; use a smaller batch, length or model\n");
  } catch (const c10::Error& error) {
    fmt::print(stderr, "formwork: {}\n", first_line(error.what_without_backtrace()));
  } catch (const std::exception& error) {
    fmt::print(stderr, "formwork: {}\n", first_line(error.what()));
  }
  return 2;
}
