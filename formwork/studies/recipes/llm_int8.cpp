// LLM.int8() (Dettmers et al., 2022): a few outlier features ruin 8-bit products, unless they are multiplied
// apart. Models this small have no outliers, so they are put in without changing the function: in every norm
// the same features are scaled up, and the maps that read it scale them down.
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

std::shared_ptr<Model> LlmInt8Study::with_outliers(const std::shared_ptr<Model>& base,
                                                   const Calibration& data) const {
  const auto model = with_own_head(base);
  const auto& inventory = model->inventory();
  const auto scaled = [](const NormInfo& norm) { return norm.axis == "residual" && !norm.gain.empty(); };
  std::vector<Slot> taps;
  for (const auto& norm : inventory.norms)
    if (scaled(norm)) taps.push_back(norm.output);
  const int64_t width = inventory.axes.at("residual").size;
  const auto features = at::arange(options_.features, at::kLong) * (width / options_.features);
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

Json LlmInt8Study::measure(StudyContext& ctx, const Trained& base) const {
  const at::NoGradGuard guard;
  const auto data = calibration_rows(ctx, *base.task, ctx.scaled(16, 2));
  const auto loss = [&](const std::shared_ptr<Model>& model) {
    return held_out_loss(ctx, *model, *base.task);
  };
  const auto in_8_bits = [&](const std::shared_ptr<Model>& model, double threshold, const char* row_max) {
    const Json options = {{"threshold", threshold}, {"row_max", row_max}};
    return loss(transformed(model, "llm_int8", options, data).model);
  };
  const auto outliers = with_outliers(base.model, data);
  return {{"natural", loss(base.model)},
          {"natural in 8 bits", in_8_bits(base.model, 0, "columns")},
          {"outliers", loss(outliers)},
          {"vector-wise", in_8_bits(outliers, 0, "columns")},
          {"decomposed", in_8_bits(outliers, 6, "columns")},
          {"decomposed by values", in_8_bits(outliers, 6, "values")}};
}

std::vector<Claim> LlmInt8Study::run(StudyContext& ctx) {
  const auto base = char_decoder(ctx);
  const Json settings = {{"base", base.key}, {"options", options_json(options_)}};
  const auto found = ctx.stage("quantize and evaluate", settings, [&] { return measure(ctx, base); });
  // Rise of the perplexity, as a share.
  const auto rise = [&](const char* now, const char* before) {
    return std::expm1(number(found, now) - number(found, before));
  };
  const double vector_wise = rise("vector-wise", "outliers"), decomposed = rise("decomposed", "outliers");
  return {
      at_most("change of the loss by outliers in float", "0",
              std::abs(number(found, "outliers") - number(found, "natural")), 1e-4),
      at_most("rise of perplexity, 8 bits without outliers", "small models are not affected",
              rise("natural in 8 bits", "natural"), 0.01),
      at_most("rise of perplexity, LLM.int8() with outliers", "0 (12.45 to 12.45 at 13B)", decomposed, 0.01),
      at_most("rise of perplexity, LLM.int8() over vector-wise", "0: outliers apart lose nothing",
              ratio_of_rises(decomposed, vector_wise), 0.25),
      reported("rise of perplexity, vector-wise with outliers", "12.45 to 19.08 at 13B, tensor-wise",
               vector_wise),
      reported("rise of perplexity, LLM.int8() with a row's scale by values", "not given",
               rise("decomposed by values", "outliers"))};
}

FORMWORK_PART(Study, LlmInt8Study, "llm_int8",
              "8-bit products with outlier features, multiplied apart or not");

}  // namespace
}  // namespace formwork
