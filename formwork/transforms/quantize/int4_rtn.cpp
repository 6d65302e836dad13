// 4-bit round-to-nearest: each group of inputs gets a scale and a zero, each weight the nearest code. No
// data.
#include "formwork/linear/quantized/int4.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

class Int4Rtn final : public Transform {
 public:
  struct Options {
    int64_t group = 64;
    bool symmetric = false;
    void describe(Fields& f) {
      f.integer("group", group, "inputs that share a scale, a multiple of 8; fewer in a last group", 8,
                65536);
      f.flag("symmetric", symmetric, "codes centred on zero");
    }
  };
  explicit Int4Rtn(const Options& options) : options_(options) {}
  bool reads_data() const override { return false; }
  std::vector<Json> budgets() const override { return {{{"group", 32}}, {{"group", 64}}, {{"group", 128}}}; }
  std::optional<Budget> budget(const Model& before, const TransformResult& made) const override {
    return bits_budget(4, before, *made.model);
  }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    return replace_block_maps(model, "int4_rtn", options_json(options_), [&](LinearMap& map) {
      Replacement made;
      made.tensors = int4_round(finite_weight(map), options_.group, options_.symmetric).tensors();
      made.representation = PartSpec("int4");
      made.representation->options = {{"group", options_.group}};
      return made;
    });
  }

 private:
  Options options_;
};

FORMWORK_PART(Transform, Int4Rtn, "int4_rtn", "4-bit weights by rounding to the nearest code");

}  // namespace
}  // namespace formwork
