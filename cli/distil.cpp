// formwork distil TEACHER METHOD: trains a student from a teacher and saves it.
#include "command.h"
#include "formwork/interop/companions.h"
#include "formwork/transforms/distil/distillation.h"

namespace formwork::cli {
namespace {

struct Arguments {
  std::string teacher, method;
  std::vector<std::string> settings;
  TaskChoice task;
  Json options = Json::object();
  bool json = false;
};

void run(const Arguments& arguments) {
  const auto options = parse_options<DistilOptions>(arguments.options, "distil");
  const auto teacher = load_model(arguments.teacher);
  const auto task = arguments.task.make(teacher->inventory().spec.meta);
  const auto result =
      distil(teacher, *task, {arguments.method, parse_pairs(arguments.settings, "--set")}, options);
  if (result.finished && !options.folder.empty()) copy_companions(arguments.teacher, options.folder);
  Table table({{"stage"}, {"step"}, {"loss", "nats", ".4f"}, {"seconds", "", ".1f"}});
  for (const auto& stage : result.stages)
    table.add({{"stage", stage.at("stage")},
               {"step", stage.at("step")},
               {"loss", stage.at("evaluation").at("loss")},
               {"seconds", stage.at("seconds")}});
  print(table, arguments.json);
  if (!result.finished) fmt::print(stderr, "formwork: stopped; go on with --resume\n");
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("distil", "train a student from a teacher, stage by stage");
  add_model_argument(*command, arguments->teacher);
  offer(command->add_option("method", arguments->method, "a distillation; see `formwork list distillations`"),
        names_of_kind("distillations"))
      ->required();
  command->add_option("--set", arguments->settings, "an option of the method as key=value; repeatable");
  arguments->task.add_to(*command);
  add_options<DistilOptions>(*command, arguments->options);
  add_json_flag(*command, arguments->json);
  command->footer(
      "Example:  formwork distil model mohawk --set tokens=[1e5,1e5,1e6] --set batch=8 --task text --folder "
      "student");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli
