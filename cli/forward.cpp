// formwork forward SPEC: runs a model on given tensors and saves what comes out.
#include <filesystem>

#include "command.h"
#include "formwork/interop/safetensors.h"
#include "formwork/linear/linear_map.h"

namespace formwork::cli::forward_command {
namespace {

struct Arguments {
  std::string spec, weights, inputs, out, dtype = "float32";
  std::vector<std::string> taps;
};

void require_float64(const Model& model) {
  for (const auto* map : model.inventory().maps)
    if (!map->traits().float64)
      fail("--dtype: expected float32, since '{}' ('{}') is not the same in float64; found float64",
           map->path(), map->type());
}

void run(const Arguments& arguments) {
  if (arguments.dtype != "float32" && arguments.dtype != "float64")
    fail("--dtype: expected float32 or float64, found '{}'", arguments.dtype);
  const auto dtype = arguments.dtype == "float64" ? at::kDouble : at::kFloat;
  const auto cast = [&](const Tensor& x) { return x.is_floating_point() ? x.to(dtype) : x; };
  const bool whole = arguments.weights.empty() && holds_model(arguments.spec);
  auto model = whole ? load_model(arguments.spec, dtype) : build_model(find_spec(arguments.spec), 0, dtype);
  if (dtype == at::kDouble) require_float64(*model);
  if (!arguments.weights.empty()) {
    TensorMap tensors;
    for (const auto& [name, tensor] : read_safetensors(arguments.weights)) tensors[name] = cast(tensor);
    load_tensors(*model, tensors, arguments.weights);
  }
  Record inputs;
  for (const auto& [name, tensor] : read_safetensors(arguments.inputs)) inputs[name] = cast(tensor);
  const at::NoGradGuard guard;
  auto board = model->make_board();
  TensorMap outputs;
  for (const auto& pattern : arguments.taps)
    board.read(pattern, [&](const TapEvent& event, const Tensor& x) {
      outputs[event.visit ? fmt::format("{}@{}", event.name, event.visit) : event.name] = x.detach().clone();
    });
  auto ctx = model->make_context(&board);
  for (const auto& [name, tensor] : model->forward(ctx, inputs)) outputs[name] = tensor;
  write_safetensors(arguments.out, outputs);
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("forward", "run a model or part on given tensors");
  add_spec_argument(*command, arguments->spec);
  command->add_option("--weights", arguments->weights,
                      "safetensors with every parameter; by default a model folder's own, or initial values");
  command
      ->add_option(
          "--inputs", arguments->inputs,
          "safetensors: input_ids [B, T], attention_mask, ..; pixel_values [B, C, H, W]; x for a part")
      ->required();
  command->add_option("--out", arguments->out, "safetensors to write")->required();
  offer(command->add_option("--dtype", arguments->dtype, "float32 or float64"), {"float32", "float64"})
      ->capture_default_str();
  command->add_option("--tap", arguments->taps, "also write the taps that match; repeatable");
  command->footer(
      "Example:  formwork forward model --weights model --inputs in.safetensors --out out.safetensors --tap "
      "'layers.0.*'");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::forward_command
