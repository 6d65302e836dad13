// GPT-2 (Radford et al., 2019). Its maps are stored [in, out], and queries, keys and values are one map.
#include "formwork/interop/families/decoder_layers.h"

namespace formwork {
namespace {

class Gpt2 final : public Family {
 public:
  using Options = NoFamilyOptions;
  explicit Gpt2(const Options&) {}
  std::vector<std::string> architectures() const override { return {"GPT2LMHeadModel", "GPT2Model"}; }

  Spec spec(const Config& config, const std::string& architecture) const override {
    config.skip({"reorder_and_upcast_attn"});  // the order of operations in 16 bits
    config.require("add_cross_attention", false, "a decoder alone has nothing to attend to");
    const int64_t width = config.integer("n_embd"), heads = config.integer("n_head");
    const bool bare = architecture == "GPT2Model";
    const Json norm = {{"type", "layer_norm"}, {"eps", config.number("layer_norm_epsilon", 1e-5)}};
    Spec spec;
    spec.model = {"decoder",
                  {{"vocab", config.integer("vocab_size")},
                   {"width", width},
                   {"position", {{"type", "learned"}, {"context", config.integer("n_positions", 1024)}}},
                   {"layers", layers(config, norm, width, heads)},
                   {"norm", norm},
                   {"head", bare ? "hidden" : "lm"},
                   {"tie", config.flag("tie_word_embeddings", true) && !bare}}};
    return spec;
  }

  void rules(WeightRules& rules) const override {
    const auto turned = weight_op::transposed();
    rules.map("embed", "transformer.wte");
    rules.add("position.weight", {"transformer.wpe.weight"});
    for (int64_t i = 0; i < rules.count("layers."); ++i) {
      const auto ours = fmt::format("layers.{}.", i), theirs = fmt::format("transformer.h.{}.", i);
      rules.map(ours + "mixer.norm", theirs + "ln_1");
      rules.map(ours + "mixer.qkv", theirs + "attn.c_attn", turned);
      rules.map(ours + "mixer.out", theirs + "attn.c_proj", turned);
      rules.map(ours + "channel.norm", theirs + "ln_2");
      rules.map(ours + "channel.up", theirs + "mlp.c_fc", turned);
      rules.map(ours + "channel.down", theirs + "mlp.c_proj", turned);
    }
    rules.map("norm", "transformer.ln_f");
    rules.map("head", "lm_head");
  }
  // The older files keep the causal mask among the weights.
  TheirNames names() const override {
    return {"transformer.", {"*.attn.bias", "*.attn.masked_bias", "lm_head.weight"}};
  }

  Json config(const Json& spec) const override {
    const Json& model = spec.at("model");
    if (model.at("type") != "decoder" || model.at("layers").empty() ||
        model.at("position").at("type") != "learned")
      return nullptr;
    const Json& layer = first_layer(spec);
    const Json mixer = layer.value("mixer", Json()), channel = layer.value("channel", Json());
    if (!mixer.is_object() || !channel.is_object() || !mixer.contains("heads") || channel.at("type") != "mlp")
      return nullptr;
    Json config = {{"architectures", {"GPT2LMHeadModel"}},
                   {"vocab_size", model.at("vocab")},
                   {"n_embd", model.at("width")},
                   {"n_layer", model.at("layers").size()},
                   {"n_head", mixer.at("heads")},
                   {"n_positions", model.at("position").at("context")},
                   {"activation_function", their_activation(channel.at("activation").at("type"))},
                   {"layer_norm_epsilon", layer.at("norm").at("eps")},
                   {"tie_word_embeddings", model.at("tie")}};
    config["n_inner"] = channel.at("hidden");
    return config;
  }

 private:
  static Json layers(const Config& config, const Json& norm, int64_t width, int64_t heads) {
    const bool scaled = config.flag("scale_attn_weights", true),
               by_layer = config.flag("scale_attn_by_inverse_layer_idx", false);
    const Json channel = {{"type", "mlp"},
                          {"hidden", config.integer("n_inner", 0)},
                          {"activation", activation_of(config, "activation_function", "gelu_new")}};
    const int64_t count = config.layers("n_layer");
    Json list = Json::array();
    for (int64_t i = 0; i < count; ++i) {
      Json mixer = {{"type", "attention"}, {"heads", heads}, {"bias", true}, {"out_bias", true}};
      const double usual =
          scaled ? 1 / std::sqrt(static_cast<double>(width) / static_cast<double>(heads)) : 1;
      if (!scaled || by_layer) mixer["scale"] = by_layer ? usual / static_cast<double>(i + 1) : usual;
      list.push_back({{"type", "pre"}, {"norm", norm}, {"mixer", mixer}, {"channel", channel}});
    }
    return list;
  }
};

FORMWORK_PART(Family, Gpt2, "gpt2", "GPT-2, DistilGPT2");

}  // namespace
}  // namespace formwork
