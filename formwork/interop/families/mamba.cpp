// Mamba (Gu and Dao, 2023): one mixer a layer and no MLP.
#include "formwork/interop/families/decoder_layers.h"

namespace formwork {
namespace {

class MambaFamily final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit MambaFamily(const Options&) {}
  std::vector<std::string> architectures() const override { return {"MambaForCausalLM", "MambaModel"}; }

  Spec spec(const Config& config, const std::string& architecture) const override {
    config.require("use_bias", false, "the maps of the mixer have no bias");
    config.require("use_conv_bias", true, "the convolution has a bias");
    if (activation_of(config, "hidden_act", "silu") != "silu")
      fail("{}: 'hidden_act': expected silu, found {}", config.where(), config.text("hidden_act", ""));
    // Where the sums are float32, how weights start and how the scan is computed.
    config.skip({"residual_in_fp32", "rescale_prenorm_residual", "use_mambapy", "use_associative_scan",
                 "time_step_floor", "time_step_init_scheme", "time_step_max", "time_step_min",
                 "time_step_scale", "d_inner", "d_model", "n_layer", "fused_add_norm", "rms_norm", "ssm_cfg",
                 "pad_vocab_size_multiple"});
    const int64_t width = config.integer("hidden_size");
    const double expand = config.number("expand", 2);
    const int64_t inner =
        config.integer("intermediate_size", std::llround(expand * static_cast<double>(width)));
    Json mixer = {{"type", "mamba"},
                  {"d_state", config.integer("state_size", 16)},
                  {"d_conv", config.integer("conv_kernel", 4)},
                  {"expand", static_cast<double>(inner) / static_cast<double>(width)}};
    const Json* rank = config.find("time_step_rank");
    if (rank && *rank != "auto") mixer["dt_rank"] = config.integer("time_step_rank");
    const Json norm = {{"type", "rms_norm"}, {"eps", config.number("layer_norm_epsilon", 1e-5)}};
    const Json layer = {{"type", "pre"}, {"norm", norm}, {"mixer", mixer}};
    return decoder_spec(config, architecture, repeated(config.integer("num_hidden_layers"), layer), norm,
                        true);
  }

  void rules(WeightRules& rules) const override {
    rules.map("embed", "backbone.embeddings");
    for (int64_t i = 0; i < rules.count("layers."); ++i) {
      const auto ours = fmt::format("layers.{}.mixer.", i), theirs = fmt::format("backbone.layers.{}.", i);
      const auto mixer = theirs + "mixer.";
      rules.map(ours + "norm", theirs + "norm");
      rules.map(ours + "in", mixer + "in_proj");
      rules.map(ours + "x", mixer + "x_proj");
      rules.map(ours + "delta", mixer + "dt_proj");
      rules.map(ours + "out", mixer + "out_proj");
      for (const char* name : {"A_log", "D"}) rules.add(ours + name, {mixer + name});
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
    if (!mixer.is_object() || mixer.at("type") != "mamba") return nullptr;
    const int64_t width = model.at("width");
    const auto inner = std::llround(mixer.at("expand").get<double>() * static_cast<double>(width));
    Json config = {{"architectures", {"MambaForCausalLM"}},
                   {"vocab_size", model.at("vocab")},
                   {"hidden_size", width},
                   {"num_hidden_layers", model.at("layers").size()},
                   {"state_size", mixer.at("d_state")},
                   {"conv_kernel", mixer.at("d_conv")},
                   {"expand", mixer.at("expand")},
                   {"intermediate_size", inner},
                   {"layer_norm_epsilon", layer.at("norm").at("eps")},
                   {"tie_word_embeddings", model.at("tie")}};
    config["time_step_rank"] = mixer.at("dt_rank");
    return config;
  }
};

FORMWORK_PART(Family, MambaFamily, "mamba", "Mamba");

}  // namespace
}  // namespace formwork
