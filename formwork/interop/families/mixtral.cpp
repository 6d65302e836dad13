// Mixtral (Jiang et al., 2024): Mistral with a sparse mixture of gated MLPs.
#include "formwork/interop/families/decoder_layers.h"

namespace formwork {
namespace {

class Mixtral final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Mixtral(const Options&) {}
  std::vector<std::string> architectures() const override { return {"MixtralForCausalLM", "MixtralModel"}; }

  Spec spec(const Config& config, const std::string& architecture) const override {
    config.skip({"router_jitter_noise"});
    auto mixer = rotary_attention(config, rotary_of(config, 1e6), false, false);
    mixer["window"] = config.integer("sliding_window", 0);
    auto layer = gated_layer(config, mixer, activation_of(config, "hidden_act", "silu"));
    layer["norm"]["eps"] = config.number("rms_norm_eps", 1e-5);
    layer["channel"]["type"] = "experts";
    layer["channel"]["experts"] = config.integer("num_local_experts", 8);
    layer["channel"]["active"] = config.integer("num_experts_per_tok", 2);
    return decoder_spec(config, architecture, repeated(config.integer("num_hidden_layers"), layer),
                        layer.at("norm"));
  }

  void rules(WeightRules& rules) const override {
    llama_rules(rules, /*mlp=*/false);
    for (int64_t i = 0; i < rules.count("layers."); ++i) {
      const auto ours = fmt::format("layers.{}.channel.", i);
      const auto theirs = fmt::format("model.layers.{}.block_sparse_moe.", i);
      rules.map(ours + "router", theirs + "gate");
      if (!rules.has(ours + "gate_up.weight")) continue;
      const auto& bank = rules.param(ours + "gate_up.weight");
      const int64_t count = bank.dims.at(0).size(), hidden = bank.dims.at(1).size() / 2;
      std::vector<std::string> gate_up, down;
      for (int64_t e = 0; e < count; ++e) {
        const auto expert = fmt::format("{}experts.{}.", theirs, e);
        gate_up.insert(gate_up.end(), {expert + "w1.weight", expert + "w3.weight"});
        down.push_back(expert + "w2.weight");
      }
      rules.add(ours + "gate_up.weight", gate_up,
                weight_op::stacked(count, 2, weight_op::concatenated({hidden, hidden})));
      rules.add(ours + "down.weight", down, weight_op::stacked(count, 1, weight_op::same()));
    }
  }
  TheirNames names() const override { return llama_names(); }

  Json config(const Json& spec) const override {
    Json config = llama_config(spec);
    if (config.is_null() || !first_layer(spec).at("channel").contains("experts")) return nullptr;
    const Json& layer = first_layer(spec);
    config["architectures"] = {"MixtralForCausalLM"};
    config["num_local_experts"] = layer.at("channel").at("experts");
    config["num_experts_per_tok"] = layer.at("channel").at("active");
    const Json window = layer.at("mixer").at("window");
    config["sliding_window"] = window == 0 ? Json() : window;
    return config;
  }
};

FORMWORK_PART(Family, Mixtral, "mixtral", "Mistral with experts");

}  // namespace
}  // namespace formwork
