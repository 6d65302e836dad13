// Distilled classifier (Touvron et al., "Training data-efficient image transformers & distillation through
// attention", DeiT, 2021): the class token and the distillation token have a classifier each, and outputs are
// their mean,
//
//   logits = (x_0 W_c^T + b_c + x_1 W_d^T + b_d) / 2        x [B, T, D], W [classes, D]
//
// Training reads what either says at its tap, "classes.out" and "distillation.out".
#include "formwork/heads/head.h"
#include "formwork/heads/pool.h"
#include "formwork/linear/linear_map.h"

namespace formwork {
namespace {

class Distilled final : public Head {
 public:
  struct Options {
    int64_t classes = 2;
    void describe(Fields& f) { f.integer("classes", classes, "number of classes", 1); }
  };

  Distilled(Build& build, const Options& options) : path_(build.path()) {
    LinearNeed need;
    need.role = Role::head, need.in = build.in, need.bias = true, need.input = build.input;
    need.out = build.axis("classes", options.classes, Group::none);
    need.init = init::normal(0.02);
    classes_ = make_linear(build, "classes", need);
    distillation_ = make_linear(build, "distillation", need);
  }
  bool per_token(const std::string&) const override { return false; }
  void forward(Context& ctx, const Tensor& x, Record& out) override {
    const auto labels = classes_->forward(ctx, token_of_rows(ctx, x, 0, path_));
    const auto teacher = distillation_->forward(ctx, token_of_rows(ctx, x, 1, path_));
    out["logits"] = (labels + teacher) / 2;
  }

 private:
  std::string path_;
  std::unique_ptr<LinearMap> classes_, distillation_;
};

FORMWORK_PART(Head, Distilled, "distilled",
              "the mean of two classifiers, on the class and on the distillation token");

}  // namespace
}  // namespace formwork
