// Commands of the program: each file of this room registers one.
#pragma once
#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "formwork/core/options.h"
#include "formwork/decode/decode_strategy.h"
#include "formwork/models/model_io.h"
#include "formwork/report/table.h"
#include "formwork/tasks/task.h"

namespace formwork::cli {

// Adds a subcommand to the program; its callback does the work and throws Error for wrong input.
using Register = std::function<void(CLI::App&)>;
std::vector<Register>& commands();

// What the program was given, without its own name.
std::vector<std::string>& program_arguments();

#define FORMWORK_COMMAND(function)                      \
  [[maybe_unused]] static const bool formwork_command = \
      (::formwork::cli::commands().push_back(function), true)

// The names that complete an option's or argument's value, where there are such.
std::map<const CLI::Option*, std::vector<std::string>>& offers();
CLI::Option* offer(CLI::Option* option, std::vector<std::string> names);

// The registered names of a kind ("mixers"); all kinds.
std::vector<std::string> names_of_kind(const std::string& kind);
std::vector<std::string> kind_names();

// Refuses the options that were given: "NAME has no effect: WHY".
void refuse_without_effect(const CLI::App& command, const std::vector<std::string>& names,
                           const std::string& why);

// Adds the positional SPEC, as find_spec takes it.
void add_spec_argument(CLI::App& command, std::string& spec);
// Adds the positional MODEL, as load_model takes it.
void add_model_argument(CLI::App& command, std::string& model);
// Adds --json, as every command has it that prints a table.
void add_json_flag(CLI::App& command, bool& json);

// Options of a command from an Options struct's fields: "--name VALUE", with the field's help. Values are
// collected as JSON and parsed by parse_options, which checks bounds and names.
class FieldOptions final : public Fields {
 public:
  FieldOptions(CLI::App& app, Json& values) : app_(app), values_(values) {}
  void integer(const char* name, int64_t&, const char* doc, int64_t, int64_t) override { add(name, doc); }
  void number(const char* name, double&, const char* doc, double, double) override { add(name, doc); }
  void flag(const char* name, bool&, const char* doc) override;
  void text(const char* name, std::string&, const char* doc) override { add(name, doc, true); }
  void choice(const char* name, std::string&, const std::vector<std::string>& choices,
              const char* doc) override {
    offer(add(name, doc, true), choices);
  }
  void part(const char* name, PartSpec&, const char* kind, const char* doc, bool) override {
    offer(add(name, doc), names_of_kind(kind));
  }
  void parts(const char* name, std::vector<PartSpec>&, const char*, const char* doc) override {
    add(name, doc);
  }
  void numbers(const char* name, std::vector<double>&, const char* doc) override { add(name, doc); }
  void json(const char* name, Json&, const char* doc) override { add(name, doc); }

 private:
  CLI::Option* add(const char* name, const char* doc, bool literal = false);
  CLI::App& app_;
  Json& values_;
};

template <class Options>
void add_options(CLI::App& app, Json& values) {
  Options defaults;
  FieldOptions fields(app, values);
  defaults.describe(fields);
}

// "key=value" pairs as a JSON object; values are JSON where they parse as such, and text otherwise.
Json parse_pairs(const std::vector<std::string>& pairs, const std::string& what);

// A Spec from a JSON file or a model folder, or one of the built-in ones by name.
Spec find_spec(const std::string& name);

// A task by name and "key=value" options, prepared with the Spec's meta.
struct TaskChoice {
  std::string name = "text";
  std::vector<std::string> options;
  void add_to(CLI::App& app);
  std::unique_ptr<Task> make(Json& meta) const;
  // As echoed into results: the task's options in force.
  Json in_force() const;

 private:
  PartSpec spec() const;
};

// A decode strategy by name, "key=value" options and the seed of its draws.
struct DecodeChoice {
  std::string name = "greedy";
  std::vector<std::string> options;
  int64_t seed = 0;
  void add_to(CLI::App& app);
  PartSpec spec() const;
  // Refuses a --seed that was given where nothing is drawn.
  std::unique_ptr<DecodeStrategy> make(const CLI::App& command) const;
};

// Rows of a task that a model is calibrated on, or looked into with.
struct RowChoice {
  TaskChoice task;
  int64_t rows = 32, seed = 0;
  void add_to(CLI::App& app);
  // Training rows for the model, in a few batches.
  std::vector<Record> read(const Model& model) const;
  // As echoed into results.
  Json in_force() const { return {{"task", task.in_force()}, {"rows", rows}, {"seed", seed}}; }
};

// Makes a folder with those above it; nothing where the name is empty.
void create_folder(const std::filesystem::path& folder);
// Throws where no page can be written: hours of work must not end there.
void check_report(const std::filesystem::path& report);

void print(const Table& table, bool json);

}  // namespace formwork::cli
