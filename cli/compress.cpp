// formwork compress MODEL METHOD: applies one transform and saves the result.
#include "command.h"
#include "formwork/transforms/transform.h"

namespace formwork::cli {
namespace {

struct Arguments {
  std::string model, method, out;
  std::vector<std::string> options;
  TaskChoice task;
  int64_t rows = 32;
  int64_t seed = 0;
  bool json = false;
};

void run(const Arguments& arguments) {
  auto transform = Registry<Transform>::make({arguments.method, parse_pairs(arguments.options, "--set")});
  auto model = load_model(arguments.model);
  Json meta = model->spec().meta;
  auto task = arguments.task.make(meta);
  Calibration data;
  for (int64_t i = 0; i < 4; ++i)
    data.batches.push_back(task->training_batch(std::max<int64_t>(1, arguments.rows / 4),
                                                static_cast<uint64_t>(arguments.seed), i)
                               .inputs);
  const auto result = transform->apply(model, data);
  save_model(*result.model, arguments.out);
  const Json row = {{"model", arguments.out},
                    {"method", arguments.method},
                    {"parameters before", model->parameter_count()},
                    {"parameters", result.model->parameter_count()},
                    {"bytes before", bytes_on_disk(arguments.model)},
                    {"bytes", bytes_on_disk(arguments.out)}};
  print(Table::from_rows({row}), arguments.json);
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("compress", "make a model smaller by one method");
  command->add_option("model", arguments->model, "a model folder")->required();
  command->add_option("method", arguments->method, "a transform; see `formwork list transforms`")->required();
  command->add_option("--set", arguments->options, "an option of the method as key=value; repeatable");
  command->add_option("--out", arguments->out, "folder of the result")->required();
  command->add_option("--rows", arguments->rows, "rows of calibration data")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--seed", arguments->seed, "of the calibration rows")->capture_default_str();
  arguments->task.add_to(*command);
  command->add_flag("--json", arguments->json, "print an array with one object a row");
  command->footer("Example:  formwork compress model slicegpt --set sparsity=0.2 --out small");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli
