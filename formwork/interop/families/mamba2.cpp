// Mamba-2 (Dao and Gu, 2024): one mixer a layer and no MLP.
#include "formwork/interop/families/decoder_layers.h"

namespace formwork {
namespace {

// "time_step_limit": [low, high]; no upper limit is written as Infinity, in one of two ways.
Json step_limits(const Config& config) {
  const Json* limits = config.find("time_step_limit");
  if (!limits) return {0.0, 0.0};
  const auto unlimited = [](const Json& high) {
    return high == "Infinity" || (high.is_object() && high.value("__float__", "") == "Infinity");
  };
  const bool pair = limits->is_array() && limits->size() == 2 && (*limits)[0].is_number();
  if (!pair || !((*limits)[1].is_number() || unlimited((*limits)[1])))
    fail("{}: 'time_step_limit': expected [low, high], found {}", config.where(), limits->dump());
  return {(*limits)[0], unlimited((*limits)[1]) ? Json(0.0) : (*limits)[1]};
}

class Mamba2Family final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Mamba2Family(const Options&) {}
  std::vector<std::string> architectures() const override { return {"Mamba2ForCausalLM", "Mamba2Model"}; }

  Spec spec(const Config& config, const std::string& architecture) const override {
    if (activation_of(config, "hidden_act", "silu") != "silu")
      fail("{}: 'hidden_act': expected silu, found {}", config.where(), config.text("hidden_act", ""));
    // Where the sums are float32, how weights start, and what no code reads.
    config.skip({"residual_in_fp32", "rescale_prenorm_residual", "time_step_floor", "time_step_max",
                 "time_step_min", "time_step_rank", "norm_before_gate", "rms_norm"});
    const int64_t width = config.integer("hidden_size"), head_width = config.integer("head_dim", 64);
    const int64_t inner = config.integer("num_heads", 128) * head_width;
    const double eps = config.number("layer_norm_epsilon", 1e-5);
    if (config.number("expand", 2) * static_cast<double>(width) != static_cast<double>(inner))
      fail("{}: 'expand' {} times 'hidden_size' {} is not 'num_heads' times 'head_dim', {}", config.where(),
           config.number("expand", 2), width, inner);
    const Json limits = step_limits(config);
    const Json mixer = {{"type", "mamba2"},
                        {"d_state", config.integer("state_size", 128)},
                        {"d_conv", config.integer("conv_kernel", 4)},
                        {"expand", static_cast<double>(inner) / static_cast<double>(width)},
                        {"head_width", head_width},
                        {"groups", config.integer("n_groups", 8)},
                        {"chunk", config.integer("chunk_size", 256)},
                        {"bias", config.flag("use_bias", false)},
                        {"conv_bias", config.flag("use_conv_bias", true)},
                        {"norm_eps", eps},
                        {"dt_low", limits[0]},
                        {"dt_high", limits[1]}};
    const Json norm = {{"type", "rms_norm"}, {"eps", eps}};
    const Json layer = {{"type", "pre"}, {"norm", norm}, {"mixer", mixer}};
    return decoder_spec(config, architecture, repeated(config.integer("num_hidden_layers"), layer), norm);
  }

  void rules(WeightRules& rules) const override {
    rules.map("embed", "backbone.embeddings");
    for (int64_t i = 0; i < rules.count("layers."); ++i) {
      const auto ours = fmt::format("layers.{}.mixer.", i), theirs = fmt::format("backbone.layers.{}.", i);
      const auto mixer = theirs + "mixer.";
      rules.map(ours + "norm", theirs + "norm");
      rules.map(ours + "in", mixer + "in_proj");
      rules.map(ours + "out", mixer + "out_proj");
      rules.map(ours + "gate_norm", mixer + "norm");
      for (const char* name : {"A_log", "D", "dt_bias"}) rules.add(ours + name, {mixer + name});
      convolution_rules(rules, ours + "conv", mixer + "conv1d");
    }
    rules.map("norm", "backbone.norm_f");
    rules.map("head", "lm_head");
  }
  TheirNames names() const override { return {"backbone.", {"lm_head.weight"}}; }

  Json config(const Json& spec) const override {
    const Json& model = spec.at("model");
    if (model.at("type") != "decoder" || model.at("layers").empty()) return nullptr;
    const Json& layer = first_layer(spec);
    const Json mixer = layer.value("mixer", Json());
    if (!mixer.is_object() || mixer.at("type") != "mamba2") return nullptr;
    const int64_t width = model.at("width"), head_width = mixer.at("head_width");
    const double expand = mixer.at("expand");
    Json config = {{"architectures", {"Mamba2ForCausalLM"}},
                   {"vocab_size", model.at("vocab")},
                   {"hidden_size", width},
                   {"num_hidden_layers", model.at("layers").size()},
                   {"state_size", mixer.at("d_state")},
                   {"conv_kernel", mixer.at("d_conv")},
                   {"head_dim", head_width},
                   {"num_heads", std::llround(expand * static_cast<double>(width)) / head_width},
                   {"n_groups", mixer.at("groups")},
                   {"chunk_size", mixer.at("chunk")},
                   {"use_bias", mixer.at("bias")},
                   {"use_conv_bias", mixer.at("conv_bias")},
                   {"layer_norm_epsilon", mixer.at("norm_eps")},
                   {"tie_word_embeddings", model.at("tie")}};
    // Their "expand" is a whole number.
    config["expand"] = std::floor(expand) == expand ? Json(std::llround(expand)) : Json(expand);
    const double high = mixer.at("dt_high");
    if (mixer.at("dt_low") != 0.0 || high > 0)
      config["time_step_limit"] = {mixer.at("dt_low"),
                                   high > 0 ? Json(high) : Json({{"__float__", "Infinity"}})};
    return config;
  }
};

FORMWORK_PART(Family, Mamba2Family, "mamba2", "Mamba-2");

}  // namespace
}  // namespace formwork
