// Back to dense matrices: updates are merged, codes dequantized, factors multiplied, zeros written out, and
// two thin convolutions become one. The function stays as it was, but for the rounding of activations (int8).
// Where no update is left beside a map, everything trains again.
#include "formwork/linear/conv/convolution.h"
#include "formwork/linear/nested.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

class ToDense final : public Transform {
 public:
  struct Options {
    std::string only;
    void describe(Fields& f) { f.text("only", only, "maps of this representation alone; empty: all"); }
  };
  explicit ToDense(const Options& options) : options_(options) {}
  bool reads_data() const override { return false; }
  std::vector<Json> budgets() const override { return {Json::object()}; }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    const auto& maps = model->inventory().maps;
    auto result = replace_maps(model, maps, "to_dense", options_json(options_), [&](LinearMap& map) {
      const auto* outer = enclosing(maps, map);
      if (outer && chosen(*outer)) return Replacement::skip(fmt::format("a piece of '{}'", outer->path()));
      if (!chosen(map)) return Replacement::skip("dense already, or not of the chosen representation");
      Replacement made;
      if (auto* convolution = dynamic_cast<Convolution*>(&map)) {
        made.tensors = {{"weight", convolution->kernel()}};
        made.representation = PartSpec("conv");
      } else {
        made.tensors = {{"weight", map.dense()}};
        made.representation = PartSpec("dense");
      }
      return made;
    });
    const auto& left = result.model->inventory().maps;
    if (std::any_of(maps.begin(), maps.end(), is_adapted) &&
        std::none_of(left.begin(), left.end(), is_adapted)) {
      Edit edit(*result.model);
      if (edit.thaw()) result.model = edit.finish();
    }
    return result;
  }

 private:
  static bool is_adapted(const LinearMap* map) { return map->type() == "lora"; }
  bool chosen(const LinearMap& map) const {
    if (map.type() == "dense" || map.type() == "conv" || map.type() == "depthwise") return false;
    return options_.only.empty() || map.type() == options_.only;
  }
  Options options_;
};

FORMWORK_PART(Transform, ToDense, "to_dense", "merge, dequantize or multiply out every map");

}  // namespace
}  // namespace formwork
