// Language-model head: logits = s x W^T (+ b), W [vocab, D], shared with the embedding when tied; as
// formwork/heads.
#include <cmath>

#include "formwork/heads/lm_options.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {
namespace {

class LmHead final : public Head {
 public:
  using Options = LmHeadOptions;

  LmHead(Scope& scope, const Options& options)
      : map_(scope.embedding),
        width_(scope.in.size),
        scale_(static_cast<float>(options.scale)),
        cap_(static_cast<float>(options.cap)) {
    Dim read = scope.in;
    if (options.project) {
      if (map_)
        read = map_->need().in;
      else
        read = scope.axis("inner", options.project);
      project_ = make_linear(scope, "project", {scope.in, read});
    }
    if (map_) {
      if (map_->inputs() != read.size())
        fail("{}: tied to the embedding of width {}, but what it reads has {} channels", scope.path(),
             map_->inputs(), read.size());
      if (options.bias) bias_ = scope.floats("bias", {map_->outputs()});
      return;
    }
    own_ = make_linear(scope, "", {read, scope.known_axis("vocab"), options.bias});
    map_ = own_.get();
  }
  int64_t width() const override { return map_->outputs(); }
  void run(Pass& pass, int64_t rows, const float* x, float* y) const override {
    const Arena::Frame frame(pass.arena);
    if (project_) {
      float* read = pass.arena.take(map_->inputs());
      project_->run(pass, rows, {x, width_}, {read, map_->inputs()});
      x = read;
    }
    if (scale_ != 1) {
      float* scaled = pass.arena.take(map_->inputs());
      for (int64_t i = 0; i < rows * map_->inputs(); ++i) scaled[i] = x[i] * scale_;
      x = scaled;
    }
    map_->run(pass, rows, {x, map_->inputs()}, {y, map_->outputs()}, 0, bias_);
    if (cap_ > 0)
      for (int64_t i = 0; i < rows * map_->outputs(); ++i) y[i] = cap_ * std::tanh(y[i] / cap_);
  }

 private:
  const LinearMap* map_;
  std::unique_ptr<LinearMap> own_, project_;
  int64_t width_;
  float scale_, cap_;
  const float* bias_ = nullptr;
};

FORMWORK_PART(Head, LmHead, "lm", "logits over the vocabulary for each token");

}  // namespace
}  // namespace formwork::runtime
