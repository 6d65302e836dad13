// LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale (Dettmers et al., 2022). Attention and
// MLP maps become 8-bit, without data; embedding, head and norms stay. A block map that is compressed already
// is an error, unless `skip` names it.
#include "formwork/linear/quantized/int8_codes.h"
#include "formwork/tap/tap.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

class LlmInt8 final : public Transform {
 public:
  struct Options : Int8Options {
    Json skip = Json::array();
    void describe(Fields& f) {
      Int8Options::describe(f);
      f.json("skip", skip, "patterns of map paths that stay dense, beside embedding and head");
    }
  };
  explicit LlmInt8(const Options& options) : options_(options) {
    options.check("llm_int8");
    if (!options.skip.is_array()) fail("llm_int8: option 'skip' must be a list of patterns");
    for (const auto& pattern : options.skip)
      if (!pattern.is_string()) fail("llm_int8: option 'skip' holds {}, expected a pattern", pattern.dump());
  }
  bool reads_data() const override { return false; }
  std::vector<Json> budgets() const override { return {{{"threshold", 6.0}}, {{"threshold", 0.0}}}; }
  std::optional<Budget> budget(const Model& before, const TransformResult& made) const override {
    return bits_budget(8, before, *made.model);
  }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    for (const auto* map : model->inventory().maps) refuse_compressed(*map);
    return replace_block_maps(model, "llm_int8", options_json(options_), [&](LinearMap& map) {
      if (skipped(map)) return Replacement::skip("option 'skip' names it");
      Replacement made;
      made.tensors = int8_tensors(finite_weight(map), options_, map.path());
      made.representation = PartSpec("int8");
      made.representation->options = options_json(static_cast<const Int8Options&>(options_));
      return made;
    });
  }

 private:
  bool skipped(const LinearMap& map) const {
    return std::any_of(options_.skip.begin(), options_.skip.end(),
                       [&](const Json& pattern) { return matches(pattern.get<std::string>(), map.path()); });
  }
  void refuse_compressed(const LinearMap& map) const {
    if (is_block_role(map.role()) && map.type() != "dense" && !skipped(map))
      fail("llm_int8: '{}' is '{}', expected a dense map: apply to_dense before, or name it in option 'skip'",
           map.path(), map.type());
  }
  Options options_;
};

FORMWORK_PART(Transform, LlmInt8, "llm_int8", "8-bit maps with outlier columns in float");

}  // namespace
}  // namespace formwork
