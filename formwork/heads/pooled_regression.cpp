// Regression of a row: its tokens are pooled by a softmax over learned scores, and a linear map or an MLP
// reads numbers off the result,
//
//   p = sum_t softmax_t(s . x_t + c) x_t,   predictions = p W^T + b,  or  f(p V^T + c) W^T + b
//
// x [B, T, D], predictions [B, outputs]. The probe of What learning algorithm is in-context learning?
// Investigations with linear models (Akyurek et al., 2023).
#include "formwork/activations/activation.h"
#include "formwork/heads/head.h"
#include "formwork/heads/pool.h"
#include "formwork/linear/linear_map.h"

namespace formwork {
namespace {

class PooledRegression final : public Head {
 public:
  struct Options {
    int64_t outputs = 1, hidden = 0;
    PartSpec activation = "gelu";
    void describe(Fields& f) {
      f.integer("outputs", outputs, "numbers for each row", 1, 1 << 20);
      f.integer("hidden", hidden, "units of a layer between; 0: none, a linear map", 0, 1 << 20);
      f.part("activation", activation, "activations", "of the layer between");
    }
  };

  PooledRegression(Build& build, const Options& options) {
    LinearNeed need;
    need.role = Role::head, need.in = build.in, need.input = build.input, need.bias = true;
    need.out = Dim::plain(1);
    score_ = make_linear(build, "score", need);
    if (options.hidden) {
      Build child = build.at("activation");
      activation_ = Registry<Activation>::make(child, options.activation);
      const Axis hidden = build.axis("hidden", options.hidden, activation_->symmetry());
      need.out = hidden;
      hidden_ = make_linear(build, "hidden", need);
      need.in = hidden, need.input = -1;
    }
    need.out = build.axis("outputs", options.outputs, Group::none);
    map_ = make_linear(build, "", need);
  }
  bool per_token(const std::string&) const override { return false; }
  void forward(Context& ctx, const Tensor& x, Record& out) override {
    auto row = pool_by_score(ctx, x, score_->forward(ctx, x));
    if (hidden_) row = activation_->forward(ctx, hidden_->forward(ctx, row));
    out["predictions"] = map_->forward(ctx, row);
  }

 private:
  std::unique_ptr<LinearMap> score_, hidden_, map_;
  std::unique_ptr<Activation> activation_;
};

FORMWORK_PART(Head, PooledRegression, "pooled_regression",
              "numbers for each row, whose tokens are pooled by learned scores");

}  // namespace
}  // namespace formwork
