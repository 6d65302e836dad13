// A token mixer built alone, and small tools to check one.
#pragma once
#include "formwork/mixers/token_mixer.h"

namespace formwork {

struct MixerAlone {
  std::unique_ptr<Inventory> inventory = std::make_unique<Inventory>();
  std::unique_ptr<TokenMixer> mixer;

  MixerAlone(const std::string& json, int64_t width, at::ScalarType dtype = at::kDouble, bool causal = true) {
    inventory->dtype = dtype, inventory->seed = 3;
    Build root(*inventory, "mixer", {}, {});
    root.in = root.out = root.global_axis("residual", width);
    root.causal = causal;
    mixer = make_mixer(root, PartSpec::from_json(Json::parse(json), "test"));
  }

  Tensor& value(const std::string& name) { return inventory->by_name.at("mixer." + name)->value; }
  void set(const std::string& name, const Tensor& to) {
    const at::NoGradGuard guard;
    value(name).copy_(to);
  }
  std::vector<Tensor> parameters() {
    std::vector<Tensor> list;
    for (auto& param : inventory->params)
      if (param.trainable()) list.push_back(param.value);
    return list;
  }
  Tensor forward(const Tensor& x, const Layout* layout = nullptr) {
    Context ctx;
    ctx.layout = layout;
    return mixer->forward(ctx, x);
  }
  Tensor append(const Tensor& x, State& state, const Layout* layout = nullptr) {
    Context ctx;
    ctx.layout = layout;
    return mixer->append(ctx, x, &state);
  }
  std::unique_ptr<State> state(int64_t batch, int64_t reversible = 0, at::ScalarType dtype = at::kDouble) {
    StateOptions options;
    options.batch = batch, options.reversible = reversible, options.dtype = dtype;
    return mixer->make_state(options);
  }
  // x taken in pieces.
  Tensor in_pieces(const Tensor& x, const std::vector<int64_t>& pieces, at::ScalarType dtype = at::kDouble) {
    auto carried = state(x.size(0), 0, dtype);
    std::vector<Tensor> parts;
    for (const auto& piece : x.split_with_sizes(pieces, 1)) parts.push_back(append(piece, *carried));
    return at::cat(parts, 1);
  }
};

inline double distance(const Tensor& a, const Tensor& b) {
  return a.numel() ? (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>() : 0;
}

// The largest relative difference, over `inputs` (double, requiring gradients), between the gradient of
// `loss` along a random direction and its central difference.
inline double gradient_error(const std::vector<Tensor>& inputs, const std::function<Tensor()>& loss) {
  for (const auto& input : inputs) input.mutable_grad() = Tensor();
  loss().backward();
  double worst = 0;
  const at::NoGradGuard guard;
  for (const auto& input : inputs) {
    const auto direction = at::randn_like(input), before = input.clone();
    const double step = 1e-5;
    input.copy_(before + step * direction);
    const double up = loss().item<double>();
    input.copy_(before - step * direction);
    const double down = loss().item<double>();
    input.copy_(before);
    if (!input.grad().defined()) return 1e9;
    const double slope = (up - down) / (2 * step), found = (input.grad() * direction).sum().item<double>();
    worst = std::max(worst, std::abs(slope - found) / std::max(1e-2, std::abs(slope)));
  }
  return worst;
}

}  // namespace formwork
