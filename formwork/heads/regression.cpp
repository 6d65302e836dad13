// Regression head: numbers for each token, predictions = x W^T + b, x [B, T, D], W [outputs, D].
#include "formwork/heads/head.h"
#include "formwork/linear/linear_map.h"

namespace formwork {
namespace {

class RegressionHead final : public Head {
 public:
  struct Options {
    int64_t outputs = 1;
    bool bias = true;
    void describe(Fields& f) {
      f.integer("outputs", outputs, "numbers for each token", 1, 1 << 20);
      f.flag("bias", bias, "bias on the map");
    }
  };

  RegressionHead(Build& build, const Options& options) {
    LinearNeed need;
    need.role = Role::head, need.in = build.in, need.input = build.input, need.bias = options.bias;
    need.out = build.axis("outputs", options.outputs, Group::none);
    map_ = make_linear(build, "", need);  // the map's path is the head's own: "head.weight"
  }

  void forward(Context& ctx, const Tensor& x, Record& out) override {
    out["predictions"] = map_->forward(ctx, x);
  }

 private:
  std::unique_ptr<LinearMap> map_;
};

FORMWORK_PART(Head, RegressionHead, "regression", "numbers for each token");

}  // namespace
}  // namespace formwork
