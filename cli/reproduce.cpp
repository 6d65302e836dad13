// formwork reproduce NAME: runs a system's recipe and compares what it measures with what was published.
#include <chrono>
#include <ctime>

#include "command.h"
#include "formwork/core/file.h"
#include "formwork/studies/claims_page.h"
#include "formwork/studies/recorded_run.h"
#include "formwork/studies/source_commit.h"
#include "formwork/studies/study.h"
#include "formwork/studies/system.h"

namespace formwork::cli::reproduce_command {
namespace {

struct Arguments {
  std::string name, out, record, report;
  std::vector<std::string> settings;
  Json options = Json::object();
  bool json = false;
  std::string command_line;  // as given
};

std::string utc_now() {
  const auto now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string quoted(const std::vector<std::string>& words) {
  std::string line = "formwork";
  for (const auto& word : words)
    line += word.find_first_of(" '\"$") == std::string::npos ? " " + word : fmt::format(" '{}'", word);
  return line;
}

const std::string& recipe_of(const std::string& name) {
  const auto& system = require_system(name);
  if (system.recipe.empty())
    fail("reproduce: '{}' has no recipe yet; those that have: {}", system.name,
         fmt::join(Registry<Study>::names(), ", "));
  return system.recipe;
}

// The commit that a recorded run names. Asked before the recipe runs, so that minutes are not measured in
// vain.
std::string commit_for_record(const Arguments& arguments, const StudyOptions& options) {
  const std::filesystem::path file = arguments.record;
  const auto name = require_system(arguments.name).key + ".json";
  if (file.filename() != name)
    fail("reproduce: --record expects a file '{}', found '{}'", name, file.filename().string());
  if (options.scale < 1) fail("reproduce: --record expects scale 1, found {:g}", options.scale);
  const auto folder = std::filesystem::absolute(file).parent_path();
  if (!std::filesystem::is_directory(folder))
    fail("reproduce: there is no folder '{}' for --record", folder.string());
  try {
    return source_commit(folder);
  } catch (const Error& error) {
    fail("reproduce: --record: {}", error.what());
  }
}

// What stands beside the claims in every result.
struct Run {
  Json facts;
  std::vector<Claim> claims;
  std::vector<Chart> charts;
};

Run run_recipe(const Arguments& arguments) {
  const auto options = parse_options<StudyOptions>(arguments.options, "reproduce");
  const auto& recipe = recipe_of(arguments.name);
  PartSpec spec(recipe);
  spec.options = parse_pairs(arguments.settings, "--set");
  const auto study = Registry<Study>::make(spec);
  const auto commit = arguments.record.empty() ? "" : commit_for_record(arguments, options);
  StudyContext ctx(recipe, options);
  Run run;
  run.facts = {{"system", require_system(arguments.name).name},
               {"recipe", Registry<Study>::in_force(spec)},
               {"seed", options.seed},
               {"scale", options.scale},
               {"command", arguments.command_line},
               {"version", FORMWORK_VERSION},
               {"date", utc_now()},
               {"machine", this_machine()}};
  if (!commit.empty()) run.facts["commit"] = commit;
  const auto start = std::chrono::steady_clock::now();
  run.claims = study->run(ctx);
  run.facts["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  run.facts["stages"] = ctx.stages();
  run.charts = ctx.charts();
  return run;
}

void run(const Arguments& arguments) {
  if (!arguments.report.empty()) check_report(arguments.report);
  const auto run = run_recipe(arguments);
  Table table(claims_table({}).columns());
  Json result = run.facts;
  result["claims"] = Json::array();
  for (const auto& claim : run.claims) {
    Json row = claim.to_json();
    result["claims"].push_back(row);
    row.update(run.facts);
    row.erase("stages");
    table.add(row);
  }
  if (!arguments.out.empty()) write_atomically(arguments.out, result.dump(2) + "\n");
  if (!arguments.record.empty()) {
    read_recorded_run(arguments.record, result);
    write_atomically(arguments.record, result.dump(2) + "\n");
  }
  if (!arguments.report.empty()) claims_page(run.facts, run.claims, run.charts).write(arguments.report);
  print(table, arguments.json);
  if (arguments.json) return;
  fmt::print("{}; seed {}, scale {:g}; {}; {:.1f} s\n{}\n", run.facts["system"].get<std::string>(),
             run.facts["seed"].get<int64_t>(), run.facts["scale"].get<double>(),
             run.facts["date"].get<std::string>(), run.facts["seconds"].get<double>(),
             arguments.command_line);
  if (run.facts["scale"].get<double>() < 1)
    fmt::print("A scale below 1 tries the recipe; its claims are meant for scale 1.\n");
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("reproduce", "measure a published claim again");
  offer(command->add_option(
            "name", arguments->name,
            fmt::format("a system with a recipe: {}", fmt::join(Registry<Study>::names(), ", "))),
        Registry<Study>::names())
      ->required();
  command->add_option("--set", arguments->settings, "an option of the recipe as key=value; repeatable");
  command->add_option("--out", arguments->out, "a file for the result, as JSON");
  command->add_option("--report", arguments->report,
                      "an HTML page to write: claims, and the recipe's charts");
  command->add_option(
      "--record", arguments->record,
      "docs/results/NAME.json in a Git checkout: the result as the system's recorded run, which "
      "`formwork systems` shows once it is built in; needs scale 1 and the commit's own program");
  add_options<StudyOptions>(*command, arguments->options);
  add_json_flag(*command, arguments->json);
  command->footer("Example:  formwork reproduce slicegpt --data_root data --out slicegpt.json");
  command->callback([arguments] {
    arguments->command_line = quoted(program_arguments());
    run(*arguments);
  });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::reproduce_command
