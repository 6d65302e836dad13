// formwork compress MODEL METHOD: applies one transform and saves the result.
#include <chrono>
#include <filesystem>

#include "command.h"
#include "formwork/core/file.h"
#include "formwork/interop/companions.h"
#include "formwork/transforms/transform.h"

namespace formwork::cli::compress_command {
namespace {

struct Arguments {
  std::string model, method, out;
  std::vector<std::string> options;
  RowChoice rows;
  bool json = false;
};

// What decided the result; a method that reads no data has no task.
Json settings_in_force(const Arguments& arguments, const Json& options, bool reads_data) {
  Json settings = {{"model", arguments.model},
                   {"method", arguments.method},
                   {"options", Registry<Transform>::in_force({arguments.method, options})}};
  if (reads_data) settings.update(arguments.rows.in_force());
  return settings;
}

// A report's warnings on stderr, a line each; compression.json has them all.
void print_warnings(const Json& warnings) {
  constexpr size_t kShown = 4;
  for (size_t i = 0; i < std::min(kShown, warnings.size()); ++i)
    fmt::print(stderr, "formwork: warning: {}\n", warnings[i].get<std::string>());
  if (warnings.size() > kShown)
    fmt::print(stderr, "formwork: {} more warnings in compression.json\n", warnings.size() - kShown);
}

void run(const CLI::App& command, const Arguments& arguments) {
  const auto options = parse_pairs(arguments.options, "--set");
  auto transform = Registry<Transform>::make({arguments.method, options});
  const bool reads_data = transform->reads_data();
  if (!reads_data)
    refuse_without_effect(command, {"--task", "--data", "--rows", "--seed"},
                          fmt::format("'{}' reads no data", arguments.method));
  if (std::error_code none; std::filesystem::equivalent(arguments.model, arguments.out, none))
    fail("compress: --out: expected another folder than the model's own, found '{}'", arguments.out);
  auto model = load_model(arguments.model);
  Calibration data;
  if (reads_data) data.batches = arguments.rows.read(*model);
  const auto start = std::chrono::steady_clock::now();
  const auto result = transform->apply(model, data);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  save_model(*result.model, arguments.out);
  copy_companions(arguments.model, arguments.out);
  const Json row = {{"model", arguments.out},
                    {"method", arguments.method},
                    {"parameters before", model->parameter_count()},
                    {"parameters", result.model->parameter_count()},
                    {"bytes before", bytes_on_disk(arguments.model)},
                    {"bytes", bytes_on_disk(arguments.out)},
                    {"seconds", seconds},
                    {"warnings", result.report.value("warnings", Json::array())},
                    {"settings", settings_in_force(arguments, options, reads_data)},
                    {"report", result.report}};
  write_atomically(arguments.out + "/compression.json", row.dump(2) + "\n");
  Table table({{"model"},
               {"method"},
               {"parameters before"},
               {"parameters"},
               {"bytes before"},
               {"bytes"},
               {"seconds", "", ".2f"}});
  table.add(row);
  print(table, arguments.json);
  print_warnings(row["warnings"]);
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("compress", "make a model smaller by one method");
  add_model_argument(*command, arguments->model);
  offer(command->add_option("method", arguments->method, "a transform; see `formwork list transforms`"),
        names_of_kind("transforms"))
      ->required();
  command->add_option("--set", arguments->options, "an option of the method as key=value; repeatable");
  command
      ->add_option("--out", arguments->out,
                   "folder of the result; compression.json there says what became of each map")
      ->required();
  arguments->rows.add_to(*command);
  add_json_flag(*command, arguments->json);
  command->footer("Example:  formwork compress model slicegpt --set sparsity=0.2 --out small");
  command->callback([arguments, command] { run(*command, *arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::compress_command
