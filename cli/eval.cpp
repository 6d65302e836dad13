// formwork eval MODEL: measures a model on a task.
#include "command.h"
#include "formwork/train/evaluate.h"

namespace formwork::cli::eval_command {
namespace {

struct Arguments {
  std::string model;
  TaskChoice task;
  Json options = Json::object();
  bool json = false;
};

void run(const Arguments& arguments) {
  const auto options = parse_options<EvaluateOptions>(arguments.options, "eval");
  auto model = load_model(arguments.model);
  Json meta = model->spec().meta;
  auto task = arguments.task.make(meta);
  task->check(*model);
  const auto metrics = evaluate(*model, *task, options);
  Json row = {{"model", arguments.model}, {"samples", metrics.samples}};
  std::vector<Column> columns = {{"model"}, {"samples"}};
  for (const auto& [name, value] : metrics.values) {
    row[name] = value;
    columns.push_back({name});
  }
  row["settings"] = options_json(options);
  row["settings"]["task"] = arguments.task.in_force();
  Table table(columns);
  table.add(row);
  print(table, arguments.json);
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("eval", "measure a model on a task");
  add_model_argument(*command, arguments->model);
  arguments->task.add_to(*command);
  add_options<EvaluateOptions>(*command, arguments->options);
  add_json_flag(*command, arguments->json);
  command->footer("Example:  formwork eval model --task text");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::eval_command
