// formwork pareto MODEL: applies every transform at several budgets and compares the results.
#include "command.h"
#include "formwork/report/page.h"
#include "formwork/transforms/compare.h"

namespace formwork::cli {
namespace {

struct Arguments {
  std::string model, report;
  std::string methods = "all";
  TaskChoice task;
  Json options = Json::object();
  bool json = false;
};

std::vector<std::string> find_methods(const std::string& list) {
  const auto known = Registry<Transform>::names();
  if (list == "all") return known;
  std::vector<std::string> chosen;
  for (size_t start = 0; start <= list.size();) {
    const size_t end = std::min(list.find(',', start), list.size());
    chosen.push_back(list.substr(start, end - start));
    Registry<Transform>::find(chosen.back());
    start = end + 1;
  }
  return chosen;
}

Table comparison_table() {
  return Table({{"method"},
                {"options"},
                {"loss", "nats", ".4f"},
                {"kl", "nats", ".4f"},
                {"kl error", "", ".4f"},
                {"top-1", "", ".3f"},
                {"top-1 error", "", ".3f"},
                {"bytes"},
                {"flops/token", "", ".3g"},
                {"prefill tokens/s", "", ".0f"},
                {"decode tokens/s", "", ".0f"},
                {"front"},
                {"reason"}});
}

void write_report(const Arguments& arguments, const Table& table, const std::vector<Json>& rows,
                  const Json& settings) {
  std::vector<Json> made;
  Table points(table.columns());
  for (const auto& row : rows)
    if (!row.contains("reason")) {
      points.add(row);
      made.push_back(row);
    }
  ScatterOptions scatter;
  scatter.title = "Loss against bytes on disk";
  scatter.x = "bytes", scatter.y = "loss", scatter.colour = "method", scatter.label = "method";
  scatter.front = pareto_front(made, "bytes", Better::smaller, "loss", Better::smaller);
  Page page("Compression of " + arguments.model);
  page.chart(scatter_chart(points, scatter)).table(table, "Every method at each budget").settings(settings);
  page.write(arguments.report);
}

void run(const Arguments& arguments) {
  const auto options = parse_options<CompareOptions>(arguments.options, "pareto");
  const auto methods = find_methods(arguments.methods);
  auto model = load_model(arguments.model);
  Json meta = model->spec().meta;
  auto task = arguments.task.make(meta);
  task->check(*model);
  Calibration data;
  for (int64_t i = 0; i < 4; ++i) data.batches.push_back(task->training_batch(options.batch, 0, i).inputs);
  const auto rows = compare(model, make_candidates(model, data, methods), *task, options);
  Table table = comparison_table();
  for (const auto& row : rows) table.add(row);
  if (!arguments.report.empty()) {
    Json settings = options_json(options);
    settings["model"] = arguments.model;
    settings["task"] = arguments.task.name;
    settings["data"] = arguments.task.options;
    write_report(arguments, table, rows, settings);
  }
  print(table, arguments.json);
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("pareto", "compress by every method and compare the results");
  command->add_option("model", arguments->model, "a model folder")->required();
  command->add_option("--methods", arguments->methods, "all, or names with commas between")
      ->capture_default_str();
  command->add_option("--report", arguments->report, "an HTML page to write");
  arguments->task.add_to(*command);
  add_options<CompareOptions>(*command, arguments->options);
  command->add_flag("--json", arguments->json, "print an array with one object a row");
  command->footer("Example:  formwork pareto model --task text --report report.html");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli
