// Language-model head: logits = x W^T (+ b), W [vocab, D], shared with the embedding when tied.
#include "formwork/heads/lm_options.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {
namespace {

class LmHead final : public Head {
 public:
  using Options = LmHeadOptions;

  LmHead(Scope& scope, const Options& options) : map_(scope.embedding) {
    if (map_) {
      if (options.bias) bias_ = scope.floats("bias", {map_->outputs()});
      return;
    }
    own_ = make_linear(scope, "", {scope.in, scope.known_axis("vocab"), options.bias});
    map_ = own_.get();
  }
  int64_t width() const override { return map_->outputs(); }
  void run(Pass& pass, int64_t rows, const float* x, float* y) const override {
    map_->run(pass, rows, {x, map_->inputs()}, {y, map_->outputs()}, 0, bias_);
  }

 private:
  const LinearMap* map_;
  std::unique_ptr<LinearMap> own_;
  const float* bias_ = nullptr;
};

FORMWORK_PART(Head, LmHead, "lm", "logits over the vocabulary for each token");

}  // namespace
}  // namespace formwork::runtime
