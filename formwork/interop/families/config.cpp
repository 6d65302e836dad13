#include "formwork/interop/families/config.h"

namespace formwork {
namespace {

// Keys of any config that say how a model is trained, generated from, stored or named.
const std::set<std::string>& harmless() {
  static const std::set<std::string> keys = {"architectures",
                                             "model_type",
                                             "_name_or_path",
                                             "name_or_path",
                                             "transformers_version",
                                             "torch_dtype",
                                             "dtype",
                                             "auto_map",
                                             "use_cache",
                                             "gradient_checkpointing",
                                             "bos_token_id",
                                             "eos_token_id",
                                             "pad_token_id",
                                             "sep_token_id",
                                             "cls_token_id",
                                             "mask_token_id",
                                             "unk_token_id",
                                             "decoder_start_token_id",
                                             "forced_bos_token_id",
                                             "forced_eos_token_id",
                                             "bad_words_ids",
                                             "num_beams",
                                             "num_beam_groups",
                                             "max_length",
                                             "min_length",
                                             "length_penalty",
                                             "no_repeat_ngram_size",
                                             "early_stopping",
                                             "do_sample",
                                             "temperature",
                                             "top_k",
                                             "top_p",
                                             "repetition_penalty",
                                             "prefix",
                                             "task_specific_params",
                                             "initializer_range",
                                             "initializer_factor",
                                             "initializer_cutoff_factor",
                                             "init_std",
                                             "output_attentions",
                                             "output_hidden_states",
                                             "output_past",
                                             "return_dict",
                                             "return_dict_in_generate",
                                             "id2label",
                                             "label2id",
                                             "_num_labels",
                                             "num_labels",
                                             "problem_type",
                                             "finetuning_task",
                                             "pretraining_tp",
                                             "classifier_dropout",
                                             "classif_dropout",
                                             "attention_dropout",
                                             "attention_probs_dropout_prob",
                                             "hidden_dropout",
                                             "hidden_dropout_prob",
                                             "hidden_dropout_rate",
                                             "dropout",
                                             "dropout_rate",
                                             "activation_dropout",
                                             "attn_pdrop",
                                             "embd_pdrop",
                                             "resid_pdrop",
                                             "embedding_dropout",
                                             "mlp_dropout",
                                             "qa_dropout",
                                             "seq_classif_dropout",
                                             "encoder_layerdrop",
                                             "decoder_layerdrop",
                                             "layerdrop",
                                             "summary_activation",
                                             "summary_first_dropout",
                                             "summary_proj_to_labels",
                                             "summary_type",
                                             "summary_use_proj",
                                             "use_return_dict",
                                             "tokenizer_class",
                                             "_attn_implementation",
                                             "_attn_implementation_autoset",
                                             "attn_implementation",
                                             "is_encoder_decoder",
                                             "transformers.js_config",
                                             "is_llama_config",
                                             "unsloth_version",
                                             "directionality",
                                             "pooler_fc_size",
                                             "pooler_num_attention_heads",
                                             "pooler_num_fc_layers",
                                             "pooler_size_per_head",
                                             "pooler_type",
                                             "tie_encoder_decoder",
                                             "torchscript",
                                             "pruned_heads",
                                             "chunk_size_feed_forward",
                                             "output_router_logits",
                                             "router_aux_loss_coef",
                                             "n_ctx",
                                             "model_max_length",
                                             "max_sequence_length",
                                             "extra_gated_prompt",
                                             "static_position_embeddings"};
  return keys;
}

bool says_nothing(const Json& value) {
  return value.is_null() || value == Json(false) || (value.is_structured() && value.empty());
}

}  // namespace

Config::Config(Json json, std::string where) : json_(std::move(json)), where_(std::move(where)) {
  if (!json_.is_object()) fail("{}: expected a JSON object, found {}", where_, json_.type_name());
}

const Json* Config::find(const std::string& key) const {
  read_.insert(key);
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

void Config::wrong(const std::string& key, const char* expected) const {
  fail("{}: '{}': expected {}, found {}", where_, key, expected, json_.at(key).dump());
}

const Json& Config::must(const std::string& key) const {
  if (const Json* found = find(key)) return *found;
  fail("{}: '{}' is missing", where_, key);
}

int64_t Config::integer(const std::string& key) const {
  // Sizes: what exceeds this could not be stored, and its products would overflow.
  constexpr int64_t kLargest = int64_t{1} << 31;
  const Json& value = must(key);
  if (!value.is_number_integer() || value.get<double>() < 0 ||
      value.get<double>() > static_cast<double>(kLargest))
    wrong(key, "an integer in [0, 2^31]");
  return value.get<int64_t>();
}

int64_t Config::integer(const std::string& key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}

int64_t Config::layers(const std::string& key) const {
  constexpr int64_t kMost = 100000;
  const int64_t count = integer(key);
  if (count > kMost) fail("{}: '{}': expected at most {} layers, found {}", where_, key, kMost, count);
  return count;
}

double Config::number(const std::string& key) const {
  const Json& value = must(key);
  if (!value.is_number()) wrong(key, "a number");
  return value.get<double>();
}

double Config::number(const std::string& key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

bool Config::flag(const std::string& key, bool fallback) const {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_boolean()) wrong(key, "true or false");
  return value->get<bool>();
}

std::string Config::text(const std::string& key, const std::string& fallback) const {
  const Json* value = find(key);
  if (!value) return fallback;
  if (!value->is_string()) wrong(key, "a text");
  return value->get<std::string>();
}

Config Config::below(const std::string& key) const {
  return {must(key), fmt::format("{}: '{}'", where_, key)};
}

void Config::require(const std::string& key, const Json& value, const std::string& why) const {
  const Json* found = find(key);
  if (found && *found != value)
    fail("{}: '{}': expected {}, found {}: {}", where_, key, value.dump(), found->dump(), why);
}

void Config::skip(const std::vector<std::string>& keys) const { read_.insert(keys.begin(), keys.end()); }

std::vector<std::string> Config::unread() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json_.items())
    if (!read_.contains(key) && !harmless().contains(key) && !says_nothing(value)) keys.push_back(key);
  return keys;
}

void Config::finish() const {
  const auto keys = unread();
  if (keys.empty()) return;
  fail("{}: key '{}' ({}) is not understood and may change what the model computes", where_, keys.front(),
       json_.at(keys.front()).dump());
}

namespace {

// Theirs first; of several names of one function, the one to write stands first.
const std::vector<std::pair<std::string, std::string>>& activation_names() {
  static const std::vector<std::pair<std::string, std::string>> names = {
      {"gelu", "gelu"},       {"gelu_new", "gelu_tanh"}, {"gelu_pytorch_tanh", "gelu_tanh"},
      {"relu", "relu"},       {"silu", "silu"},          {"swish", "silu"},
      {"tanh", "tanh"},       {"relu2", "relu_squared"}, {"sigmoid", "sigmoid"},
      {"linear", "identity"}, {"gelu_python", "gelu"},   {"gelu_fast", "gelu_tanh"}};
  return names;
}

}  // namespace

std::string activation_of(const Config& config, const std::string& key, const std::string& fallback) {
  const auto name = config.text(key, fallback);
  std::vector<std::string> known;
  for (const auto& [theirs, ours] : activation_names()) {
    if (theirs == name) return ours;
    known.push_back(theirs);
  }
  fail_unknown(fmt::format("{}: '{}': activation", config.where(), key), name, known);
}

std::string their_activation(const std::string& ours) {
  for (const auto& [theirs, name] : activation_names())
    if (name == ours) return theirs;
  fail("activation '{}' has no name in transformers", ours);
}

namespace {

Json scaling_of(const Config& rope, const std::string& kind, int64_t context) {
  if (kind == "default") return "none";
  const std::vector<std::string> known = {"default", "linear", "dynamic", "yarn", "llama3"};
  if (std::find(known.begin(), known.end(), kind) == known.end())
    fail_unknown(rope.where() + ": rotary scaling", kind, known);
  Json scaling = {{"type", kind}, {"factor", rope.number("factor")}};
  if (kind == "linear") return scaling;
  if (kind == "dynamic") {
    scaling["context"] = context;
    return scaling;
  }
  scaling["context"] = rope.integer("original_max_position_embeddings", context);
  if (kind == "llama3") {
    for (const char* key : {"low_freq_factor", "high_freq_factor"}) scaling[key] = rope.number(key);
    return scaling;
  }
  for (const char* key : {"beta_fast", "beta_slow", "attention_factor"})
    if (rope.has(key)) scaling[key] = rope.number(key);
  rope.require("truncate", true, "the ramp of YaRN runs between whole pairs here");
  return scaling;
}

}  // namespace

Json rotary_of(const Config& config, double base, double fraction, const std::string& layers) {
  const double old_base = config.number("rope_theta", base);
  fraction = config.number("partial_rotary_factor", fraction);
  const int64_t context = config.integer("max_position_embeddings", 2048);
  Json position = {{"type", "rotary"}, {"base", old_base}, {"fraction", fraction}};
  const char* key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  config.skip({"rope_scaling", "rope_interleaved", "original_max_position_embeddings"});
  config.require("rope_interleaved", false, "pairs of channels lie half a head apart");
  if (!config.has(key)) return position;
  const Config all = config.below(key);
  const Config rope = layers.empty() ? all : all.below(layers);
  position["base"] = rope.number("rope_theta", old_base);
  position["fraction"] = rope.number("partial_rotary_factor", fraction);
  const auto kind = rope.text("rope_type", rope.text("type", "default"));
  const int64_t trained = config.integer("original_max_position_embeddings", context);
  position["scaling"] = scaling_of(rope, kind, kind == "dynamic" ? context : trained);
  // Files say more than their kind of scaling reads; with another meaning it would have another kind.
  rope.skip({"original_max_position_embeddings", "finetuned"});
  rope.finish();
  return position;
}

Json their_rotary(const Json& position) {
  Json keys = {{"rope_theta", position.at("base")}};
  if (position.at("fraction") != 1) keys["partial_rotary_factor"] = position.at("fraction");
  const Json& scaling = position.at("scaling");
  const auto kind = scaling.at("type").get<std::string>();
  if (kind == "none") return keys;
  Json theirs = {{"rope_type", kind}};
  for (const auto& [key, value] : scaling.items())
    if (key == "context")
      theirs["original_max_position_embeddings"] = value;
    else if (key != "type" && !(key == "attention_factor" && value == 0))
      theirs[key] = value;
  keys["rope_scaling"] = theirs;
  return keys;
}

}  // namespace formwork
