// formwork export MODEL: writes a folder that Hugging Face transformers loads, or a GGUF file.
#include <filesystem>

#include "command.h"
#include "formwork/interop/families/family.h"
#include "formwork/interop/gguf_export.h"
#include "formwork/interop/hugging_face.h"
#include "formwork/kernels/cpu/ggml_block.h"

namespace formwork::cli::export_command {
namespace {

struct Arguments {
  std::string model, out, family, dtype, type;
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

std::vector<std::string> gguf_types() {
  std::vector<std::string> names = {"f32"};
  for (const auto& layout : ggml_layouts()) names.emplace_back(layout.name);
  return names;
}

void report(const Model& model, const Arguments& arguments, const char* what) {
  Table table({{what}, {"parameters"}, {"bytes"}});
  table.add({{what, arguments.out},
             {"parameters", model.parameter_count()},
             {"bytes", bytes_on_disk(arguments.out)}});
  print(table, arguments.json);
}

void run_gguf(const CLI::App& command, const Arguments& arguments) {
  refuse_without_effect(command, {"--family", "--dtype"}, "a GGUF file takes --type");
  if (const auto known = gguf_types();
      !arguments.type.empty() && std::find(known.begin(), known.end(), arguments.type) == known.end())
    fail_unknown("--type", arguments.type, known);
  const auto model = load_model(arguments.model);
  for (const auto& note : export_gguf(model, arguments.out, arguments.type))
    fmt::print(stderr, "export: {}\n", note);
  report(*model, arguments, "file");
}

void run(const CLI::App& command, const Arguments& arguments) {
  if (std::error_code none; std::filesystem::equivalent(arguments.model, arguments.out, none))
    fail("export: --out: expected another folder than the model's own, found '{}'", arguments.out);
  if (arguments.out.ends_with(".gguf")) return run_gguf(command, arguments);
  refuse_without_effect(command, {"--type"}, "it is of GGUF files; a folder takes --dtype");
  HuggingFaceExport options;
  options.family = arguments.family;
  if (!arguments.dtype.empty()) {
    if (!dtypes().contains(arguments.dtype)) fail_unknown("--dtype", arguments.dtype, dtype_names());
    options.dtype = dtypes().at(arguments.dtype);
  }
  const auto model = load_model(arguments.model);
  export_hugging_face(model, arguments.model, arguments.out, options);
  report(*model, arguments, "folder");
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command =
      app.add_subcommand("export", "write a folder that Hugging Face transformers loads, or a GGUF file");
  add_model_argument(*command, arguments->model);
  command->add_option("--out", arguments->out, "the folder to write, or a file that ends in .gguf")
      ->required();
  offer(command->add_option(
            "--family", arguments->family,
            "the family to write; by default the model's own, or the first that can express it"),
        names_of_kind("families"));
  offer(command->add_option("--dtype", arguments->dtype, "of the weights; by default as they are"),
        dtype_names());
  offer(command->add_option(
            "--type", arguments->type,
            "of the matrices of a GGUF file: f32, f16, bf16, q8_0, q4_0, q4_1, q4_k, q5_k, q6_k"),
        gguf_types());
  add_json_flag(*command, arguments->json);
  command->footer(
      "Example:  formwork export model --out folder --dtype bfloat16\n"
      "          formwork export model --out model.gguf --type q8_0");
  command->callback([arguments, command] { run(*command, *arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::export_command
