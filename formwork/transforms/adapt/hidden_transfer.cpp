#include "formwork/transforms/adapt/hidden_transfer.h"

#include <cmath>

#include "formwork/core/random.h"
#include "formwork/tap/transfer.h"
#include "formwork/tasks/task.h"

namespace formwork {
namespace {

// The tap of the stream after each block; entry 0: after the embedding.
std::vector<std::string> block_streams(const Inventory& inventory) {
  std::vector<std::string> taps;
  for (const auto& name : inventory.taps.all())
    if (name.ends_with(".out_stream")) taps = {name};
  if (taps.empty() || inventory.spec.model.type != "decoder")
    fail("hidden_transfer: expected a decoder, found a model '{}'", inventory.spec.model.type);
  // Steps of a block share the path up to its number: "layers.3".
  std::string block;
  for (const auto& step : inventory.steps) {
    if (step.repeats)
      fail("hidden_transfer: '{}' is repeated in a loop, where drafts would enter again", step.name);
    const auto now = step.name.substr(0, step.name.find('.', step.name.find('.') + 1));
    const auto& tap = inventory.taps.name(step.stream);
    if (now == block)
      taps.back() = tap;
    else
      taps.push_back(tap);
    block = now;
  }
  return taps;
}

std::vector<int64_t> transfer_layers(const HiddenTransferOptions& options, int64_t blocks) {
  std::vector<int64_t> layers;
  for (const double layer : options.layers) {
    if (layer != std::floor(layer)) fail("hidden_transfer: expected whole transfer layers, found {}", layer);
    layers.push_back(static_cast<int64_t>(layer));
  }
  if (layers.empty()) layers = {std::lround(0.5 * static_cast<double>(blocks))};
  if (layers.size() == 1) layers.resize(static_cast<size_t>(options.k), layers[0]);
  if (static_cast<int64_t>(layers.size()) != options.k)
    fail("hidden_transfer: expected 1 or {} transfer layers, found {}", options.k, layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i] < 0 || layers[i] > blocks)
      fail("hidden_transfer: expected transfer layers from 0 to the {} blocks of the model, found {}", blocks,
           layers[i]);
    if (i > 0 && layers[i] < layers[i - 1])
      fail(
          "hidden_transfer: transfer layers may not decrease, since later drafts see earlier ones; found {} "
          "after {}",
          layers[i], layers[i - 1]);
  }
  return layers;
}

std::string pattern_of(const std::string& tap, const std::string& draft) {
  return fmt::format("{}.attached.{}.*", tap, draft);
}

// What trains: the map of one draft, or of all (draft 0).
std::vector<std::string> trained_patterns(const Inventory& inventory, int64_t draft) {
  std::vector<std::string> patterns;
  for (const auto& [slot, part] : inventory.attached)
    if (dynamic_cast<const TransferAttachment*>(part))
      patterns.push_back(
          pattern_of(inventory.taps.name(slot), draft > 0 ? fmt::format("{}", draft) : std::string("*")));
  return patterns;
}

std::shared_ptr<Model> training_only(const Model& model, int64_t draft) {
  Edit edit(model);
  edit.train_only(trained_patterns(model.inventory(), draft));
  return edit.finish();
}

at::TensorOptions float_type(const Model& model) {
  for (const auto& param : model.inventory().params)
    if (param.value.defined() && param.value.is_floating_point() && !param.rule.keep_dtype)
      return param.value.options().requires_grad(false);
  return at::kFloat;
}

class HiddenTransfer final : public Transform {
 public:
  using Options = HiddenTransferOptions;
  explicit HiddenTransfer(const Options& options) : options_(options) {}
  std::vector<Json> budgets() const override { return {}; }  // it makes nothing smaller
  bool reads_data() const override { return false; }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override;

 private:
  Options options_;
};

TransformResult HiddenTransfer::apply(const std::shared_ptr<Model>& model, const Calibration&) {
  const at::NoGradGuard guard;
  if (drafts_of(model->inventory()) > 0) fail("hidden_transfer: the model has transfer maps already");
  const auto entries = transfer_entries(model->inventory(), options_);
  // A model of shapes alone says which parameters the parts want, and how they start.
  Spec spec = model->spec();
  for (const auto& [tap, part] : entries.items()) {
    if (spec.attach.contains(tap)) fail("hidden_transfer: something else is attached to '{}'", tap);
    spec.attach[tap] = part;
  }
  const auto shapes = build_model(spec, 0, at::kFloat, /*allocate=*/false);
  Edit edit(*model);
  edit.spec().attach = spec.attach;
  for (const auto& param : shapes->inventory().params) {
    if (edit.has(param.name)) continue;
    if (!param.value.is_floating_point())
      fail("hidden_transfer: the Spec keeps '{}' in codes, and transfer maps are trained", param.name);
    auto value = at::zeros(param.value.sizes(), float_type(*model));
    param.rule.init.fill(value, make_stream(0, param.name));
    edit.add(param.name, value);
  }
  edit.train_only(trained_patterns(shapes->inventory(), 0));
  edit.record("hidden_transfer", options_json(options_));
  TransformResult result{edit.finish(), {{"attached", entries}}};
  result.report["parameters"] = result.model->parameter_count() - model->parameter_count();
  return result;
}

FORMWORK_PART(Transform, HiddenTransfer, "hidden_transfer",
              "maps that make drafts of the next tokens out of a middle layer's states");

}  // namespace

void HiddenTransferOptions::describe(Fields& f) {
  f.integer("k", k, "drafts: tokens after the next one", 1, 64);
  f.numbers("layers", layers,
            "blocks after which drafts 1 .. k enter, or one for all; 0: the embedding, none: half");
  f.choice("map", map, {"linear", "residual"}, "linear: W h + b; residual: h + silu(W h + b)");
}

Json transfer_entries(const Inventory& inventory, const HiddenTransferOptions& options) {
  const auto streams = block_streams(inventory);
  const auto layers = transfer_layers(options, static_cast<int64_t>(streams.size()) - 1);
  Json entries = Json::object();
  for (size_t i = 0; i < layers.size(); ++i) {
    auto& entry = entries[streams[static_cast<size_t>(layers[i])]];
    if (entry.is_null()) entry = {{"type", "transfer"}, {"first", i + 1}, {"count", 0}, {"map", options.map}};
    entry["count"] = entry["count"].get<int64_t>() + 1;
  }
  return entries;
}

TrainedTransfers train_transfers(const std::shared_ptr<Model>& model, const Json& task,
                                 const TrainOptions& options, const std::string& order) {
  const int64_t drafts = drafts_of(model->inventory());
  if (drafts == 0) fail("hidden_transfer: the model has no transfer maps to train");
  if (order != "joint" && order != "sequential")
    fail_unknown("order of training", order, {"joint", "sequential"});
  TrainedTransfers result{model, {}};
  const auto run = [&](int64_t draft) {
    result.model = training_only(*result.model, draft);
    PartSpec spec("draft_text", task);
    spec.options["k"] = drafts, spec.options["draft"] = draft;
    result.evaluation = train(*result.model, *Registry<Task>::make(spec), options).evaluation;
  };
  if (order == "joint")
    run(0);
  else
    for (int64_t draft = 1; draft <= drafts; ++draft) run(draft);
  result.model = training_only(*result.model, 0);
  return result;
}

}  // namespace formwork
