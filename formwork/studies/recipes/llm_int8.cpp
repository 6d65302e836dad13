// LLM.int8() (Dettmers et al., 2022): a few outlier features ruin 8-bit products, unless they are multiplied
// apart. Models this small have no outliers, so they are put in without changing the function: in every norm
// the same features are scaled up, and the maps that read it scale them down.
#include <set>

#include "formwork/explain/features/outlier_features.h"
#include "formwork/studies/recipes/char_decoder.h"

namespace formwork {
namespace {

class LlmInt8Study final : public Study {
 public:
  struct Options {
    int64_t features = 6;
    double magnitude = 60;
    void describe(Fields& f) {
      f.integer("features", features, "outlier features to put in", 1, 64);
      f.number("magnitude", magnitude, "their greatest magnitude", 6, 1e4);
    }
  };
  explicit LlmInt8Study(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  Tensor features(const Model& model) const;  // those that are put in, [k] int64
  std::shared_ptr<Model> with_outliers(const std::shared_ptr<Model>& base, const Calibration& data) const;
  Json measure(StudyContext& ctx, const Trained& base) const;
  Options options_;
};

// The greatest magnitude among the chosen features [k] at each tap.
std::map<Slot, double> greatest(Model& model, const Calibration& data, const std::vector<Slot>& taps,
                                const Tensor& features) {
  std::map<Slot, double> found;
  auto board = model.make_board();
  for (const Slot slot : taps)
    board.listen(slot, [&](Context&, const TapEvent& event, const Tensor& x) {
      auto& most = found[event.slot];
      most = std::max(most, x.index_select(-1, features).abs().max().item<double>());
      return x;
    });
  run_calibration(model, data, board);
  return found;
}

// The share of the multiplications of 8-bit maps that are of codes: those of columns without an outlier in
// the batch.
double share_in_8_bits(Model& model, const Calibration& data, double threshold) {
  double all = 0, in_codes = 0;
  auto board = model.make_board();
  std::map<Slot, double> products;  // of a column and a token, by the tap that maps read
  for (const auto* map : model.inventory().maps)
    if (map->type() == "int8") products[map->input_tap()] += static_cast<double>(map->out());
  for (const auto& [slot, outputs] : products)
    board.listen(slot, [&](Context&, const TapEvent& event, const Tensor& x) {
      const auto rows = x.flatten(0, -2);
      const auto outliers = rows.abs().ge(threshold).any(0).sum().item<double>();
      const double each = products.at(event.slot) * static_cast<double>(rows.size(0));
      all += each * static_cast<double>(rows.size(1));
      in_codes += each * (static_cast<double>(rows.size(1)) - outliers);
      return x;
    });
  run_calibration(model, data, board);
  return in_codes / all;
}

// Features that the probe names and that were not put in, and those that it misses.
int64_t wrongly_named(Model& model, const Calibration& data, const Tensor& put_in) {
  std::set<int64_t> wrong;
  const auto report = outlier_features(model, data.batches);
  for (const auto& feature : report.at("features")) wrong.insert(feature.at("feature").get<int64_t>());
  for (int64_t i = 0; i < put_in.numel(); ++i)
    if (const auto feature = put_in[i].item<int64_t>(); !wrong.erase(feature)) wrong.insert(feature);
  return static_cast<int64_t>(wrong.size());
}

Tensor LlmInt8Study::features(const Model& model) const {
  return at::arange(options_.features, at::kLong) *
         (model.inventory().axes.at("residual").size / options_.features);
}

std::shared_ptr<Model> LlmInt8Study::with_outliers(const std::shared_ptr<Model>& base,
                                                   const Calibration& data) const {
  const auto model = with_own_head(base);
  const auto& inventory = model->inventory();
  const auto scaled = [](const NormInfo& norm) { return norm.axis == "residual" && !norm.gain.empty(); };
  std::vector<Slot> taps;
  for (const auto& norm : inventory.norms)
    if (scaled(norm)) taps.push_back(norm.output);
  const auto features = this->features(*model);
  const auto most = greatest(*model, data, taps, features);
  Edit edit(*model);
  for (const auto& norm : inventory.norms) {
    if (!scaled(norm)) continue;
    const double factor = options_.magnitude / most.at(norm.output);
    const auto scale = [&](const std::string& name, double by) {
      auto& tensor = edit.tensor(name);
      auto scales = at::ones({tensor.size(-1)}, tensor.options());
      scales.index_fill_(0, features, by);
      tensor = tensor * scales;
    };
    scale(norm.gain, factor);
    if (!norm.bias.empty()) scale(norm.bias, factor);
    for (const auto* map : inventory.maps)
      if (map->input_tap() == norm.output) scale(map->path() + ".weight", 1 / factor);
  }
  return edit.finish();
}

// The ways to 8 bits that are compared, as options of the transform.
const std::map<std::string, Json>& ways() {
  static const std::map<std::string, Json> list = {
      {"tensor-wise", {{"scheme", "absmax-tensor"}, {"threshold", 0}}},
      {"vector-wise", {{"threshold", 0}}},
      {"zero point", {{"scheme", "zeropoint-vector"}, {"threshold", 0}}},
      {"decomposed", Json::object()},
      {"decomposed, kept", {{"outlier_weight", "keep16"}}},
      {"decomposed by values", {{"row_max", "values"}}}};
  return list;
}

Json LlmInt8Study::measure(StudyContext& ctx, const Trained& base) const {
  const at::NoGradGuard guard;
  const auto data = calibration_rows(ctx, *base.task, ctx.scaled(16, 2));
  const auto in_8_bits = [&](const std::shared_ptr<Model>& model, const Json& options) {
    return transformed(model, "llm_int8", options, data).model;
  };
  const auto loss = [&](const std::shared_ptr<Model>& model) {
    return held_out_loss(ctx, *model, *base.task);
  };
  const auto outliers = with_outliers(base.model, data);
  Json found = {{"natural", loss(base.model)},
                {"natural, tensor-wise", loss(in_8_bits(base.model, ways().at("tensor-wise")))},
                {"natural, vector-wise", loss(in_8_bits(base.model, ways().at("vector-wise")))},
                {"outliers", loss(outliers)}};
  for (const auto& [name, options] : ways()) found[name] = loss(in_8_bits(outliers, options));
  found["share in 8 bits"] = share_in_8_bits(*in_8_bits(outliers, Json::object()), data, 6);
  found["wrongly named"] = wrongly_named(*outliers, data, features(*outliers));
  found["named before"] = outlier_features(*base.model, data.batches).at("features").size();
  return found;
}

std::vector<Claim> LlmInt8Study::run(StudyContext& ctx) {
  const auto base = char_decoder(ctx);
  const Json settings = {{"base", base.key}, {"options", options_json(options_)}};
  const auto found = ctx.stage("quantize and evaluate", settings, [&] { return measure(ctx, base); });
  // Rise of the perplexity, as a share.
  const auto rise = [&](const char* now, const char* before = "outliers") {
    return std::expm1(number(found, now) - number(found, before));
  };
  const double tensor_wise = rise("tensor-wise"), vector_wise = rise("vector-wise"),
               decomposed = rise("decomposed");
  return {
      at_most("change of the loss by outliers in float", "0",
              std::abs(number(found, "outliers") - number(found, "natural")), 1e-4),
      at_most("features that the probe names wrongly, of those put in", "not given",
              number(found, "wrongly named"), 0),
      reported("outlier features before any are put in", "none in all layers below 6.7B",
               number(found, "named before")),
      at_most("rise of perplexity, vector-wise without outliers", "small models are not affected",
              rise("natural, vector-wise", "natural"), 0.01),
      at_most("rise of perplexity, tensor-wise without outliers", "small models are not affected",
              rise("natural, tensor-wise", "natural"), 0.01),
      reported("rise of perplexity, tensor-wise with outliers", "0.53 at 13B (12.45 to 19.08)", tensor_wise),
      below("rise of perplexity, vector-wise over tensor-wise", "below 1",
            ratio_of_rises(vector_wise, tensor_wise), 1),
      reported("rise of perplexity, vector-wise with outliers", "not given", vector_wise),
      reported("rise of perplexity, vector-wise with zero points", "not given", rise("zero point")),
      at_most("rise of perplexity, LLM.int8() with outliers", "0 at 13B (12.45 to 12.45)", decomposed, 0.01),
      at_most("rise of perplexity, LLM.int8() over vector-wise", "0: outliers apart lose nothing",
              ratio_of_rises(decomposed, vector_wise), 0.25),
      at_most("rise of perplexity, LLM.int8() with outlier weights kept in 16 bit", "0 at 13B",
              rise("decomposed, kept"), 0.003),
      reported("rise of perplexity, LLM.int8() with a row's scale by values", "not given",
               rise("decomposed by values")),
      reported("share of multiplications in 8 bits", "above 0.999: 7 features of thousands",
               number(found, "share in 8 bits"))};
}

FORMWORK_PART(Study, LlmInt8Study, "llm_int8",
              "8-bit products with outlier features, multiplied apart or not");

}  // namespace
}  // namespace formwork
