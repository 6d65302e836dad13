// LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale (Dettmers et al., 2022). Attention and
// MLP maps become 8-bit, without data; embedding, head and norms stay.
#include "formwork/linear/quantized/int8.h"
#include "formwork/tap/tap.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

class LlmInt8 final : public Transform {
 public:
  struct Options {
    double threshold = 6;
    std::string row_max = "columns";
    Json skip = Json::array();
    void describe(Fields& f) {
      f.number("threshold", threshold, "magnitude from which an input column is multiplied in float; 0: none",
               0, 1e30);
      f.choice("row_max", row_max, {"columns", "values"},
               "a row's scale: of the other columns, or of all smaller entries");
      f.json("skip", skip, "patterns of map paths that stay dense, beside embedding and head");
    }
  };
  explicit LlmInt8(const Options& options) : options_(options) {
    if (!options.skip.is_array()) fail("llm_int8: option 'skip' must be a list of patterns");
    for (const auto& pattern : options.skip)
      if (!pattern.is_string()) fail("llm_int8: option 'skip' holds {}, expected a pattern", pattern.dump());
  }
  bool reads_data() const override { return false; }
  std::vector<Json> budgets() const override { return {{{"threshold", 6.0}}, {{"threshold", 0.0}}}; }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    return replace_block_maps(model, "llm_int8", options_json(options_), [&](LinearMap& map) {
      for (const auto& pattern : options_.skip)
        if (matches(pattern.get<std::string>(), map.path()))
          return Replacement::skip("option 'skip' names it");
      Replacement made;
      made.tensors = int8_tensors(finite_weight(map));
      made.representation = PartSpec("int8");
      made.representation->options = {{"threshold", options_.threshold}, {"row_max", options_.row_max}};
      return made;
    });
  }

 private:
  Options options_;
};

FORMWORK_ENTRY(Transform, LlmInt8, "llm_int8", "8-bit maps with outlier columns in float");

}  // namespace
}  // namespace formwork
