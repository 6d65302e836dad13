// formwork import FOLDER: turns a model of others into a Formwork folder.
#include <filesystem>

#include "command.h"
#include "formwork/interop/companions.h"

namespace formwork::cli::import_command {
namespace {

struct Arguments {
  std::string model, out;
  bool json = false;
};

void run(const Arguments& arguments) {
  if (std::error_code none; std::filesystem::equivalent(arguments.model, arguments.out, none))
    fail("import: --out: expected another folder than the model's own, found '{}'", arguments.out);
  const auto model = load_model(arguments.model);
  save_model(*model, arguments.out);
  copy_companions(arguments.model, arguments.out);
  Table table({{"model"}, {"type"}, {"parameters"}, {"bytes"}});
  table.add({{"model", arguments.out},
             {"type", model->spec().model.type},
             {"parameters", model->parameter_count()},
             {"bytes", bytes_on_disk(arguments.out)}});
  print(table, arguments.json);
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("import", "turn a model of another program into a Formwork folder");
  add_model_argument(*command, arguments->model);
  command->add_option("--out", arguments->out, "folder of the result")->required();
  add_json_flag(*command, arguments->json);
  command->footer("Example:  formwork import gpt2-folder --out model");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::import_command
