// formwork export MODEL: writes a folder that Hugging Face transformers loads.
#include <filesystem>

#include "command.h"
#include "formwork/interop/families/family.h"
#include "formwork/interop/hugging_face.h"

namespace formwork::cli {
namespace {

struct Arguments {
  std::string model, out, family, dtype;
  bool json = false;
};

const std::map<std::string, at::ScalarType>& dtypes() {
  static const std::map<std::string, at::ScalarType> table = {
      {"float32", at::kFloat}, {"float64", at::kDouble}, {"float16", at::kHalf}, {"bfloat16", at::kBFloat16}};
  return table;
}

std::vector<std::string> dtype_names() {
  std::vector<std::string> names;
  for (const auto& [name, type] : dtypes()) names.push_back(name);
  return names;
}

void run(const Arguments& arguments) {
  if (std::error_code none; std::filesystem::equivalent(arguments.model, arguments.out, none))
    fail("export: --out: expected another folder than the model's own, found '{}'", arguments.out);
  HuggingFaceExport options;
  options.family = arguments.family;
  if (!arguments.dtype.empty()) {
    if (!dtypes().contains(arguments.dtype)) fail_unknown("--dtype", arguments.dtype, dtype_names());
    options.dtype = dtypes().at(arguments.dtype);
  }
  const auto model = load_model(arguments.model);
  export_hugging_face(model->inventory(), arguments.model, arguments.out, options);
  Table table({{"folder"}, {"parameters"}, {"bytes"}});
  table.add({{"folder", arguments.out},
             {"parameters", model->parameter_count()},
             {"bytes", bytes_on_disk(arguments.out)}});
  print(table, arguments.json);
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("export", "write a folder that Hugging Face transformers loads");
  add_model_argument(*command, arguments->model);
  command->add_option("--out", arguments->out, "the folder to write")->required();
  offer(command->add_option(
            "--family", arguments->family,
            "the family to write; by default the model's own, or the first that can express it"),
        names_of_kind("families"));
  offer(command->add_option("--dtype", arguments->dtype, "of the weights; by default as they are"),
        dtype_names());
  add_json_flag(*command, arguments->json);
  command->footer("Example:  formwork export model --out folder --dtype bfloat16");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli
