// The program: parses the command line, runs one command, and turns errors into one line and exit code 2.
#include <ATen/Context.h>
#include <c10/util/Exception.h>
#include <torch/headeronly/version.h>

#include "command.h"
#include "formwork/core/memory.h"
#include "usage.h"

namespace {

// The headings of the help, and what stands under each, in that order.
const std::vector<std::pair<std::string, std::vector<std::string>>>& groups() {
  static const std::vector<std::pair<std::string, std::vector<std::string>>> table = {
      {"Make and use models", {"train", "eval", "generate", "chat", "forward"}},
      {"Exchange models", {"import", "export"}},
      {"Make models smaller", {"compress", "pareto"}},
      {"Teach models", {"distil"}},
      {"Look inside", {"explain"}},
      {"Look up", {"list", "show", "find", "systems"}},
      {"Measure", {"bench", "reproduce"}},
      {"Shell", {"completion"}}};
  return table;
}

// Commands register in any order; the help shows them in the order in which they were added last.
void group_commands(CLI::App& app) {
  for (const auto& [group, names] : groups())
    for (const auto& name : names) {
      const auto command = app.get_subcommand_ptr(name);
      command->group(group);
      app.remove_subcommand(command.get());
      app.add_subcommand(command);
    }
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

int main(int argc, char** argv) {
  formwork::keep_freed_memory();
  // Denormal numbers take a hundred times as long, and change nothing here. Threads begin with what this one
  // has.
  at::globalContext().setFlushDenormal(true);
  formwork::cli::program_arguments().assign(argv + 1, argv + argc);
  CLI::App app{"Formwork: build, train, compress, explain and serve transformers, and compare them.",
               "formwork"};
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("formwork {} (LibTorch {})", FORMWORK_VERSION, TORCH_VERSION),
                       "print the versions of Formwork and of LibTorch");
  app.footer(
      "`formwork COMMAND --help` shows the options of a command, with an example.\n"
      "Begin with:  formwork train demo-decoder --task text --folder model --steps 300");
  for (const auto& add : formwork::cli::commands()) add(app);
  group_commands(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    return formwork::cli::usage_error(app, error);
  } catch (const formwork::Error& error) {
    std::string message = error.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    fmt::print(stderr, "formwork: {}\n", message);
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "formwork: out of memory; use a smaller batch, length or model\n");
  } catch (const c10::Error& error) {
    fmt::print(stderr, "formwork: {}\n", first_line(error.what_without_backtrace()));
  } catch (const std::exception& error) {
    fmt::print(stderr, "formwork: {}\n", first_line(error.what()));
  }
  return 2;
}
