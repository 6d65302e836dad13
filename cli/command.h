// Commands of the program: each file of this room registers one.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "formwork/core/options.h"
#include "formwork/models/model_io.h"
#include "formwork/report/table.h"
#include "formwork/tasks/task.h"

namespace formwork::cli {

// Adds a subcommand to the program; its callback does the work and throws Error for wrong input.
using Register = std::function<void(CLI::App&)>;
std::vector<Register>& commands();

#define FORMWORK_COMMAND(function)                      \
  [[maybe_unused]] static const bool formwork_command = \
      (::formwork::cli::commands().push_back(function), true)

// Options of a command from an Options struct's fields: "--name VALUE", with the field's help. Values are
// collected as JSON and parsed by parse_options, which checks bounds and names.
class FieldOptions final : public Fields {
 public:
  FieldOptions(CLI::App& app, Json& values) : app_(app), values_(values) {}
  void integer(const char* name, int64_t&, const char* doc, int64_t, int64_t) override { add(name, doc); }
  void number(const char* name, double&, const char* doc, double, double) override { add(name, doc); }
  void flag(const char* name, bool&, const char* doc) override;
  void text(const char* name, std::string&, const char* doc) override { add(name, doc, true); }
  void choice(const char* name, std::string&, const std::vector<std::string>&, const char* doc) override {
    add(name, doc, true);
  }
  void part(const char* name, PartSpec&, const char*, const char* doc, bool) override { add(name, doc); }
  void parts(const char* name, std::vector<PartSpec>&, const char*, const char* doc) override {
    add(name, doc);
  }
  void numbers(const char* name, std::vector<double>&, const char* doc) override { add(name, doc); }
  void json(const char* name, Json&, const char* doc) override { add(name, doc); }

 private:
  void add(const char* name, const char* doc, bool literal = false);
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

// A Spec from a JSON file, or one of the built-in ones by name.
Spec find_spec(const std::string& name);
std::vector<std::string> spec_names();

// A task by name and "key=value" options, prepared with the Spec's meta.
struct TaskChoice {
  std::string name = "text";
  std::vector<std::string> options;
  void add_to(CLI::App& app);
  std::unique_ptr<Task> make(Json& meta) const;
};

void print(const Table& table, bool json);

}  // namespace formwork::cli
