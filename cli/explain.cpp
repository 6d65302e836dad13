// formwork explain MODEL PROBE: looks inside a model on data.
#include "command.h"
#include "formwork/core/file.h"
#include "formwork/explain/probe.h"

namespace formwork::cli::explain_command {
namespace {

struct Arguments {
  std::string model, probe, out, page;
  std::vector<std::string> options;
  RowChoice rows;
  bool json = false;
};

bool is_list_of_objects(const Json& value) {
  return value.is_array() && !value.empty() && value.front().is_object();
}

// A report's numbers as one row, and each of its lists as a table.
struct Shown {
  Table summary;
  std::vector<std::pair<std::string, Table>> lists;

  explicit Shown(const Json& report) {
    Json numbers = Json::object();
    for (const auto& [name, value] : report.items()) {
      numbers[name] = is_list_of_objects(value) ? Json(value.size()) : value;
      if (is_list_of_objects(value)) lists.emplace_back(name, Table::from_rows({value.begin(), value.end()}));
    }
    summary = Table::from_rows({numbers});
  }
};

void print_report(const Shown& shown) {
  print(shown.summary, false);
  for (const auto& [name, table] : shown.lists) {
    fmt::print("\n{}:\n", name);
    print(table, false);
  }
}

void write_page(const Arguments& arguments, const Probe& probe, const Json& row, const Shown& shown) {
  Page page(fmt::format("{}: {}", arguments.model, arguments.probe));
  page.table(shown.summary);
  probe.draw(page, row["report"]);
  for (const auto& [name, table] : shown.lists) page.table(table, name);
  page.settings(row["settings"]);
  page.write(arguments.page);
}

void run(const Arguments& arguments) {
  const PartSpec spec(arguments.probe, parse_pairs(arguments.options, "--set"));
  const auto probe = Registry<Probe>::make(spec);
  auto model = load_model(arguments.model);
  const bool reads = probe->reads_data();
  const auto report = probe->run(*model, reads ? arguments.rows.read(*model) : std::vector<Record>());
  Json settings = {{"options", Registry<Probe>::in_force(spec)}};
  if (reads) settings.update(arguments.rows.in_force());
  const Json row = {
      {"model", arguments.model}, {"probe", arguments.probe}, {"report", report}, {"settings", settings}};
  if (arguments.json)
    fmt::print("{}\n", Json::array({row}).dump(2));
  else
    print_report(Shown(report));
  // Last, so that a folder that cannot be written costs no report.
  if (!arguments.page.empty()) write_page(arguments, *probe, row, Shown(report));
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
  command->add_option("--report", arguments->page, "also write an HTML page");
  arguments->rows.add_to(*command);
  add_json_flag(*command, arguments->json);
  command->footer("Example:  formwork explain model outlier_features --set threshold=6 --task text");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::explain_command
