// formwork pareto MODEL: applies every transform at several budgets and compares the results.
#include <ATen/Parallel.h>
#include <unistd.h>

#include <filesystem>

#include "command.h"
#include "formwork/core/file.h"
#include "formwork/models/model_io.h"
#include "formwork/transforms/compare/compare.h"
#include "interrupt.h"
#include "pareto_page.h"

namespace formwork::cli::pareto_command {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string model, report, work, keep;
  std::string methods = "all";
  double margin = 0.05, share = 0;
  TaskChoice task;
  Json options = Json::object();
  bool json = false, quiet = false;
};

std::vector<std::string> find_methods(const std::string& list) {
  const auto known = Registry<Transform>::names();
  if (list == "all") return known;
  std::vector<std::string> chosen;
  for (size_t start = 0; start <= list.size();) {
    const size_t end = std::min(list.find(',', start), list.size());
    const auto name = list.substr(start, end - start);
    Registry<Transform>::find(name);
    if (std::find(chosen.begin(), chosen.end(), name) == chosen.end()) chosen.push_back(name);
    start = end + 1;
  }
  return chosen;
}

// Where finished work is kept: as asked, beside the report, or for this run alone.
struct Place {
  fs::path folder;
  bool lasting = true;

  explicit Place(const Arguments& arguments) {
    if (!arguments.work.empty()) {
      folder = arguments.work;
    } else if (!arguments.report.empty()) {
      folder = fs::path(arguments.report).replace_extension(".work");
    } else {
      folder = fs::temp_directory_path() / fmt::format("formwork-pareto-{}", ::getpid());
      lasting = false;
    }
  }
};

void explain_stop(const Place& place) {
  std::error_code ignored;
  if (!place.lasting) fs::remove_all(place.folder, ignored);
  const auto line =
      place.lasting
          ? fmt::format(
                "\nformwork: stopped; what is finished is kept in '{}': the same command goes on from "
                "there\n",
                place.folder.string())
          : std::string("\nformwork: stopped; nothing is kept without --report FILE or --work FOLDER\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

// Removes a folder for one run when the run ends, by an error too.
class Cleanup {
 public:
  explicit Cleanup(const Place& place) : place_(place) {}
  ~Cleanup() {
    std::error_code ignored;
    if (!place_.lasting) fs::remove_all(place_.folder, ignored);
  }
  Cleanup(const Cleanup&) = delete;

 private:
  const Place& place_;
};

Json settings_json(const Arguments& arguments, const CompareInput& input, const Place& place) {
  Json settings = {{"model", arguments.model}, {"task", input.task_settings}, {"methods", input.methods}};
  settings.update(options_json(input.options));
  settings["threads"] = at::get_num_threads();
  settings["report"] = arguments.report;
  settings["work"] = place.lasting ? place.folder.string() : "";
  if (arguments.keep.empty()) return settings;
  settings["keep"] = arguments.keep;
  if (arguments.share > 0)
    settings["keep_share"] = arguments.share;
  else
    settings["margin"] = arguments.margin;
  return settings;
}

// Saves the best small model -> its row.
size_t keep_best(const Arguments& arguments, const std::vector<Json>& rows) {
  const auto best =
      arguments.share > 0 ? best_row_of_size(rows, arguments.share) : best_small_row(rows, arguments.margin);
  if (!best && arguments.share > 0)
    fail("--keep: no compressed model has at most {} of the original's {} bytes", arguments.share,
         rows[0]["bytes"].get<int64_t>());
  if (!best)
    fail(
        "--keep: no compressed model on the front is within {} nats of the original's loss {:.4f}; try a "
        "larger --margin, or --recover",
        arguments.margin, rows[0]["loss"].get<double>());
  save_model(*load_model(rows[*best]["model"].get<std::string>()), arguments.keep);
  return *best;
}

void show(const Arguments& arguments, const std::vector<Json>& rows) {
  comparison_table(rows).print();
  const auto below = [](const char* heading, const Table& table) {
    if (table.rows().empty()) return;
    fmt::print("\n{}:\n", heading);
    table.print();
  };
  below("warnings", warning_table(rows));
  below("not applicable to this model", refusal_table(rows));
}

void run(const Arguments& arguments) {
  const auto options = parse_options<CompareOptions>(arguments.options, "pareto");
  const auto methods = find_methods(arguments.methods);
  Json meta = read_spec(arguments.model).meta;
  const auto task = arguments.task.make(meta);
  if (!arguments.report.empty()) check_report(arguments.report);
  if (!arguments.keep.empty()) create_folder(arguments.keep);
  const Place place(arguments);
  const Cleanup cleanup(place);
  const WorkFolder work(place.folder);
  on_interrupt([place] { explain_stop(place); });

  PartSpec task_spec(arguments.task.name);
  task_spec.options = parse_pairs(arguments.task.options, "--data");
  const CompareInput input{arguments.model, *task,   Registry<Task>::in_force(task_spec),
                           methods,         options, arguments.quiet};
  const auto rows = compare(input, work);
  Json result = {{"settings", settings_json(arguments, input, place)}, {"rows", rows}};
  if (!arguments.report.empty())
    comparison_page(arguments.model, rows, result["settings"]).write(arguments.report);
  if (!arguments.json) show(arguments, rows);
  if (!arguments.json && !arguments.report.empty()) fmt::print("\nreport: {}\n", arguments.report);
  if (!arguments.keep.empty()) {
    const auto& best = rows[keep_best(arguments, rows)];
    result["kept"] = best;
    if (!arguments.json)
      fmt::print("kept in {}: {}, {} bytes, loss {:.4f}\n", arguments.keep,
                 candidate_text({best["method"], best["options"], best["recovered"].get<int64_t>()}),
                 best["bytes"].get<int64_t>(), best["loss"].get<double>());
  }
  if (arguments.json) fmt::print("{}\n", result.dump(2));
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("pareto", "compress by every method and compare the results");
  add_model_argument(*command, arguments->model);
  command->add_option("--methods", arguments->methods, "all, or names with commas between")
      ->capture_default_str();
  command->add_option("--report", arguments->report, "an HTML page to write");
  command->add_option("--work", arguments->work,
                      "where finished models and rows are kept, to go on from; default: beside the report");
  command->add_option("--keep", arguments->keep,
                      "a folder for the smallest model on the front that is good enough");
  auto* margin = command
                     ->add_option("--margin", arguments->margin,
                                  "good enough: this much above the original's loss, in nats")
                     ->capture_default_str()
                     ->check(CLI::Range(0.0, 1e6));
  command
      ->add_option("--keep_share,--keep-share", arguments->share,
                   "keep instead the model of least loss with at most this share of the original's bytes")
      ->check(CLI::Range(0.001, 1.0))
      ->excludes(margin);
  arguments->task.add_to(*command);
  add_options<CompareOptions>(*command, arguments->options);
  command->add_flag("--quiet", arguments->quiet, "show no progress");
  command->add_flag("--json", arguments->json, "print an object with the settings and one object a row");
  command->footer(
      "Example:  formwork pareto model --task text --recover 200 --report report.html --keep small");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::pareto_command
