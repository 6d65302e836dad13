// formwork explain MODEL PROBE: looks inside a model on data.
#include "command.h"
#include "formwork/core/file.h"
#include "formwork/explain/probe.h"

namespace formwork::cli {
namespace {

struct Arguments {
  std::string model, probe, out;
  std::vector<std::string> options;
  RowChoice rows;
  bool json = false;
};

bool is_list_of_objects(const Json& value) {
  return value.is_array() && !value.empty() && value.front().is_object();
}

// The report's numbers as one row, then each of its lists as a table.
void print_report(const Json& report) {
  Json summary = Json::object();
  for (const auto& [name, value] : report.items())
    summary[name] = is_list_of_objects(value) ? Json(value.size()) : value;
  print(Table::from_rows({summary}), false);
  for (const auto& [name, value] : report.items()) {
    if (!is_list_of_objects(value)) continue;
    fmt::print("\n{}:\n", name);
    print(Table::from_rows({value.begin(), value.end()}), false);
  }
}

void run(const Arguments& arguments) {
  const PartSpec spec(arguments.probe, parse_pairs(arguments.options, "--set"));
  const auto probe = Registry<Probe>::make(spec);
  auto model = load_model(arguments.model);
  const auto report = probe->run(*model, arguments.rows.read(*model));
  Json settings = {{"options", Registry<Probe>::in_force(spec)}};
  settings.update(arguments.rows.in_force());
  const Json row = {
      {"model", arguments.model}, {"probe", arguments.probe}, {"report", report}, {"settings", settings}};
  if (arguments.json)
    fmt::print("{}\n", Json::array({row}).dump(2));
  else
    print_report(report);
  // Last, so that a folder that cannot be written costs no report.
  if (!arguments.out.empty()) write_atomically(arguments.out, row.dump(2) + "\n");
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("explain", "look inside a model with a probe");
  add_model_argument(*command, arguments->model);
  offer(command->add_option("probe", arguments->probe, "a probe; see `formwork list probes`"),
        names_of_kind("probes"))
      ->required();
  command->add_option("--set", arguments->options, "an option of the probe as key=value; repeatable");
  command->add_option("--out", arguments->out, "also write the report into this JSON file");
  arguments->rows.add_to(*command);
  add_json_flag(*command, arguments->json);
  command->footer("Example:  formwork explain model outlier_features --set threshold=6 --task text");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli
