#include "formwork/models/checkpoint.h"

#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include "formwork/core/autocast.h"
#include "formwork/core/error.h"
#include "formwork/models/graph_leaves.h"

namespace formwork {
namespace {

namespace autograd = torch::autograd;
using autograd::SavedVariable;
using autograd::variable_list;

// What a segment reads: its own stream and the others.
struct Inputs {
  Tensor x;
  Streams others;

  std::vector<Tensor*> tensors() {
    std::vector<Tensor*> list = {&x};
    for (auto& [name, stream] : others) list.push_back(&stream.x);
    return list;
  }
  // The same values as leaves, where the segment's graph ends.
  Inputs cut() const {
    Inputs leaves = *this;
    for (Tensor* tensor : leaves.tensors()) {
      const bool needed = tensor->requires_grad();
      *tensor = tensor->detach().set_requires_grad(needed);
    }
    return leaves;
  }
};

// Runs a layer on `inputs` in a context; y, and then the auxiliary losses that the layer added.
variable_list run_layer(Context& ctx, Layer& layer, const Inputs& inputs) {
  const size_t before = ctx.auxiliary.size();
  const auto* others = std::exchange(ctx.streams, ctx.streams ? &inputs.others : nullptr);
  variable_list outputs = {layer.forward(ctx, inputs.x)};
  ctx.streams = others;
  for (size_t i = before; i < ctx.auxiliary.size(); ++i) outputs.push_back(ctx.auxiliary[i].second);
  return outputs;
}

// The pass as it was before a segment, on copies of what it points to.
class Moment {
 public:
  Moment(const Context& ctx, Layer& layer, at::DeviceType device)
      : layer_(layer), ctx_(ctx.replay()), autocast_(Autocast::current(device)) {
    if (ctx.layout) layout_ = *ctx.layout;
    if (ctx.taps) taps_ = *ctx.taps;
  }
  variable_list run_again(const Inputs& inputs) const {
    auto ctx = ctx_;
    auto taps = taps_;
    ctx.layout = layout_ ? &*layout_ : nullptr;
    ctx.taps = taps ? &*taps : nullptr;
    const AutocastGuard autocast(autocast_);
    return run_layer(ctx, layer_, inputs);
  }

 private:
  Layer& layer_;
  Context ctx_;  // ctx_.streams says only whether there are others; run_layer points it to the inputs
  std::optional<Layout> layout_;
  std::optional<TapBoard> taps_;
  Autocast autocast_;
};

// The node of a segment in the graph of the pass: from the gradients of y and the losses to those of the
// inputs that the segment's graph reaches and of the parameters in it.
class SegmentNode final : public autograd::Node {
 public:
  // `reached`: of inputs.tensors(), by number. `outputs` of the first run, some without a gradient.
  SegmentNode(Moment moment, std::string name, Inputs inputs, std::vector<size_t> reached,
              const variable_list& parameters)
      : moment_(std::move(moment)), name_(std::move(name)), reached_(std::move(reached)) {
    const auto tensors = inputs.tensors();
    variable_list ends;
    for (const size_t i : reached_) ends.push_back(*tensors[i]);
    ends.insert(ends.end(), parameters.begin(), parameters.end());
    set_next_edges(autograd::collect_next_edges(ends));
    for (Tensor* tensor : tensors) {
      inputs_.emplace_back(*tensor, false);
      *tensor = Tensor();  // their layouts stay
    }
    for (const auto& parameter : parameters) parameters_.emplace_back(parameter, false);
    shells_ = std::move(inputs);
  }

  std::string name() const override { return "Segment " + name_; }

  void release_variables() override {
    for (auto* list : {&inputs_, &parameters_})
      for (auto& saved : *list) saved.reset_data();
  }

  variable_list apply(variable_list&& gradients) override {
    if (at::GradMode::is_enabled())
      fail("{}: a recomputed segment has no second gradients; run the pass with mode.twice_differentiable",
           name_);
    const at::AutoGradMode guard(true);
    Inputs inputs = shells_;
    const auto places = inputs.tensors();
    for (size_t i = 0; i < places.size(); ++i) *places[i] = inputs_[i].unpack();
    inputs = inputs.cut();
    variable_list ends;
    for (const size_t i : reached_) ends.push_back(*inputs.tensors()[i]);
    for (const auto& parameter : parameters_) ends.push_back(parameter.unpack());
    return differentiate(moment_.run_again(inputs), ends, gradients);
  }

 private:
  // Gradients came for those outputs that have one, in order.
  variable_list differentiate(const variable_list& outputs, const variable_list& ends,
                              const variable_list& gradients) const {
    variable_list roots, at_roots;
    size_t next = 0;
    for (const auto& output : outputs) {
      if (!output.requires_grad()) continue;
      if (next < gradients.size() && gradients[next].defined()) {
        roots.push_back(output);
        at_roots.push_back(gradients[next]);
      }
      ++next;
    }
    if (next != gradients.size())
      fail("{}: recomputed with {} outputs, where the forward pass had {}", name_, next, gradients.size());
    if (roots.empty()) return variable_list(ends.size());
    return autograd::grad(roots, ends, at_roots, std::nullopt, false, /*allow_unused=*/true);
  }

  Moment moment_;
  std::string name_;
  Inputs shells_;  // the other streams without their tensors
  std::vector<size_t> reached_;
  std::vector<SavedVariable> inputs_, parameters_;
};

// Puts the losses that the segment added back into the context.
void replace_losses(Context& ctx, const variable_list& outputs) {
  const size_t first = ctx.auxiliary.size() + 1 - outputs.size();
  for (size_t i = 1; i < outputs.size(); ++i) ctx.auxiliary[first + i - 1].second = outputs[i];
}

}  // namespace

Tensor forward_segment(Context& ctx, Layer& layer, const std::string& name, const Tensor& x) {
  if (!ctx.mode.checkpoint || ctx.mode.twice_differentiable || !at::GradMode::is_enabled() ||
      (ctx.taps && ctx.taps->listens_below(name)))
    return layer.forward(ctx, x);

  Inputs inputs{x, ctx.streams ? *ctx.streams : Streams()};
  Moment moment(ctx, layer, x.device().type());
  // With gradients, as the second run, so that both take the same way; its graph says what it depends on.
  auto leaves = inputs.cut();
  auto outputs = run_layer(ctx, layer, leaves);
  auto parameters = graph_leaves(outputs);
  std::vector<size_t> reached;
  const auto places = leaves.tensors();
  for (size_t i = 0; i < places.size(); ++i)
    if (std::erase_if(parameters, [&](const Tensor& t) { return t.is_same(*places[i]); }))
      reached.push_back(i);

  variable_list differentiable;
  for (auto& output : outputs) {
    if (!output.requires_grad()) continue;
    output = output.detach();
    differentiable.push_back(output);
  }
  if (!differentiable.empty()) {
    auto node = c10::make_intrusive<SegmentNode>(std::move(moment), name, std::move(inputs),
                                                 std::move(reached), parameters);
    autograd::set_history(differentiable, node);
  }
  replace_losses(ctx, outputs);
  return outputs[0];
}

}  // namespace formwork
