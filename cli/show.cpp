// formwork show SPEC: the model's steps, parameters and axes, without weights.
#include "command.h"
#include "formwork/linear/linear_map.h"

namespace formwork::cli::show_command {
namespace {

struct Arguments {
  std::string spec;
  bool parameters = false, axes = false, taps = false, json = false;
};

Table parameter_table(const Model& model) {
  Table table({{"parameter"}, {"shape"}, {"axes"}, {"dtype"}, {"count"}});
  for (const auto& param : model.inventory().params) {
    std::vector<std::string> axes;
    for (const auto& dim : param.dims) axes.push_back(dim.describe());
    table.add({{"parameter", param.name},
               {"shape", fmt::format("[{}]", fmt::join(param.value.sizes().vec(), ", "))},
               {"axes", fmt::format("[{}]", fmt::join(axes, ", "))},
               {"dtype", c10::toString(param.value.scalar_type())},
               {"count", param.value.numel()}});
  }
  return table;
}

Table axis_table(const Model& model) {
  Table table({{"axis"}, {"size"}, {"allows"}, {"because"}});
  for (const auto& [name, info] : model.inventory().axes)
    table.add(
        {{"axis", name}, {"size", info.size}, {"allows", group_name(info.group)}, {"because", info.reason}});
  return table;
}

Table map_table(const Model& model) {
  Table table({{"linear map"}, {"kept as"}, {"role"}, {"in"}, {"out"}, {"bytes"}});
  for (const auto* map : model.inventory().maps)
    table.add({{"linear map", map->path()},
               {"kept as", map->type()},
               {"role", role_name(map->role())},
               {"in", map->in()},
               {"out", map->out()},
               {"bytes", map->bytes()}});
  return table;
}

void run(const Arguments& arguments) {
  auto model = build_model(find_spec(arguments.spec), 0, at::kFloat, /*allocate=*/false);
  if (arguments.taps) {
    Table table({{"tap"}});
    for (const auto& name : model->inventory().taps.all()) table.add({{"tap", name}});
    return print(table, arguments.json);
  }
  print(arguments.parameters ? parameter_table(*model)
        : arguments.axes     ? axis_table(*model)
                             : map_table(*model),
        arguments.json);
  if (!arguments.json)
    fmt::print("{} parameters; steps: {}\n", model->parameter_count(), fmt::join(model->segments(), ", "));
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("show", "the parts, parameters and axes of a model");
  add_spec_argument(*command, arguments->spec);
  auto* parameters = command->add_flag("--parameters", arguments->parameters,
                                       "every parameter's name, shape, axes and count");
  auto* axes =
      command->add_flag("--axes", arguments->axes, "every axis, its size, and what may be done to it");
  command->add_flag("--taps", arguments->taps, "the names of all taps")->excludes(parameters)->excludes(axes);
  axes->excludes(parameters);
  add_json_flag(*command, arguments->json);
  command->footer("Example:  formwork show tiny-decoder --axes");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::show_command
