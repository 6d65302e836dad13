// Back to dense matrices: updates are merged, codes dequantized, factors multiplied, zeros written out. The
// function stays as it was, but for the rounding of activations (int8).
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
    return replace_maps(model, model->inventory().maps, "to_dense", options_json(options_),
                        [&](LinearMap& map) {
                          if (map.type() == "dense") return Replacement::skip("dense already");
                          if (!options_.only.empty() && map.type() != options_.only)
                            return Replacement::skip("not of the chosen representation");
                          Replacement made;
                          made.tensors = {{"weight", map.dense()}};
                          made.representation = PartSpec("dense");
                          return made;
                        });
  }

 private:
  Options options_;
};

FORMWORK_ENTRY(Transform, ToDense, "to_dense", "merge, dequantize or multiply out every map");

}  // namespace
}  // namespace formwork
