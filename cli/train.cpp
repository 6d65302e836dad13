// formwork train SPEC: trains a model on a task and saves it.
#include "command.h"
#include "formwork/channels/router.h"
#include "formwork/core/file.h"
#include "formwork/train/trainer.h"

namespace formwork::cli::train_command {
namespace {

struct Arguments {
  std::string spec;
  TaskChoice task;
  Json options = Json::object();
  bool json = false;
};

void warn_of_collapse(const Model& model) {
  for (const auto& part : concentrating_parts(model.spec().model.options))
    fmt::print(
        stderr,
        "formwork: warning: '{}' concentrates the load of a new model, most of whose modules will never "
        "learn; train with balance_loss 'mi' first\n",
        part);
}

// A new model from the Spec and what the task needs; a trained one where SPEC is a folder with weights.
std::shared_ptr<Model> make_model(const std::string& name, const TaskChoice& choice, uint64_t seed,
                                  std::unique_ptr<Task>& task) {
  Spec spec = find_spec(name);
  task = choice.make(spec.meta);
  if (holds_model(name)) return load_model(name);
  task->shape(spec);
  auto model = build_model(spec, seed);
  warn_of_collapse(*model);
  return model;
}

// Maps in codes without a trainable parameter; an adapter around them has one.
void warn_of_frozen_maps(const Model& model) {
  std::vector<const LinearMap*> frozen;
  for (const auto* map : model.inventory().maps) {
    if (map->traits().trainable) continue;
    const auto scope = map->path().substr(0, map->path().rfind(".base"));
    const auto& params = model.inventory().params;
    if (std::none_of(params.begin(), params.end(), [&](const Param& param) {
          return param.trainable() && param.name.starts_with(scope + ".") && !param.name.ends_with(".bias");
        }))
      frozen.push_back(map);
  }
  if (frozen.empty()) return;
  fmt::print(stderr,
             "formwork: warning: {} maps do not train, since they are kept in codes ('{}' is '{}'); apply "
             "add_lora to train beside them\n",
             frozen.size(), frozen[0]->path(), frozen[0]->type());
}

// The settings that another one switches off.
void check_effects(const CLI::App& command, const TrainOptions& options) {
  if (options.folder.empty())
    refuse_without_effect(command, {"--keep", "--log_every"}, "there is no --folder to keep anything in");
  if (options.evaluate_every == 0)
    refuse_without_effect(command, {"--evaluate_samples"},
                          "there are no evaluations before the last, which takes all");
}

// The model and, of a run that reached its end, the result with the settings that the trainer does not know.
void save(const Model& model, const TrainResult& result, const TrainOptions& options) {
  if (options.folder.empty()) return;
  save_model(model, options.folder);
  if (result.step == options.steps)
    write_atomically(options.folder + "/result.json", result.to_json().dump(2) + "\n");
}

void run(const CLI::App& command, const Arguments& arguments) {
  const auto options = parse_options<TrainOptions>(arguments.options, "train");
  check_effects(command, options);
  std::unique_ptr<Task> task;
  auto model = make_model(arguments.spec, arguments.task, static_cast<uint64_t>(options.seed), task);
  warn_of_frozen_maps(*model);
  auto result = train(*model, *task, options);
  result.settings["spec"] = arguments.spec;
  result.settings["task"] = arguments.task.in_force();
  save(*model, result, options);
  if (arguments.json) {
    fmt::print("{}\n", result.to_json().dump(2));
    return;
  }
  fmt::print("{} parameters, {} steps, {:.0f} tokens/s\n", model->parameter_count(), result.step,
             result.tokens_per_second());
  for (const auto& [name, value] : result.evaluation.values) fmt::print("{} {:.4f}\n", name, value);
  fmt::print("samples evaluated {}\n", result.evaluation.samples);
  if (!options.folder.empty()) fmt::print("saved in {}\n", options.folder);
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("train", "train a model on a task");
  add_spec_argument(*command, arguments->spec);
  arguments->task.add_to(*command);
  add_options<TrainOptions>(*command, arguments->options);
  command->add_flag("--json", arguments->json, "print the result as a JSON object");
  command->footer(
      "Example:  formwork train tiny-decoder --task text --data file=book.txt --data length=64 --steps 500 "
      "--folder model");
  command->callback([arguments, command] { run(*command, *arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::train_command
