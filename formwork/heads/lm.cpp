// Language-model head: logits = s x W^T (+ b), W [vocab, D], shared with the embedding when tied. With a cap
// c, the logits l become c tanh(l / c) (Gemma Team, "Gemma 2", 2024); with `project`, x is first mapped to
// the embedding's own width (Zhang et al., "OPT", 2022).
#include "formwork/heads/head.h"
#include "formwork/heads/lm_options.h"
#include "formwork/heads/vocab_map.h"

namespace formwork {

FORMWORK_KIND(Head);

namespace {

class LmHead final : public Head, public SplitFacet {
 public:
  using Options = LmHeadOptions;

  LmHead(Build& build, const Options& options) : options_(options) {
    if (options.project == 0) {
      map_ = std::make_unique<VocabMap>(build, build.in, build.input, options.bias);
      return;
    }
    const Axis inner = projected(build, options.project);
    LinearNeed need;
    need.role = Role::inner, need.in = build.in, need.out = inner, need.input = build.input;
    need.init = init::normal(0.02);
    project_ = make_linear(build, "project", need);
    map_ = std::make_unique<VocabMap>(build, inner, -1, options.bias);
  }

  void forward(Context& ctx, const Tensor& x, Record& out) override {
    auto read = project_ ? project_->forward(ctx, x) : x;
    if (options_.scale != 1) read = read * options_.scale;
    auto logits = map_->forward(ctx, read);
    out["logits"] = options_.cap > 0 ? capped(logits) : logits;
  }
  Split carry(SplitPass& pass, const Split& x) override {
    const auto logits = map_->carry(pass, (project_ ? through(pass, *project_, x) : x) * options_.scale);
    return options_.cap > 0 ? pass.function(logits, [&](const Tensor& l) { return capped(l); }) : logits;
  }

 private:
  Tensor capped(const Tensor& logits) const { return (logits / options_.cap).tanh() * options_.cap; }
  // The axis that logits are read at: the embedding's where the head is tied.
  static Axis projected(const Build& build, int64_t width) {
    if (!build.embedding) return build.axis("inner", width);
    const Axis inner = build.embedding->need().in.segments.at(0).at(0);
    if (inner.asked() != width)
      fail("{}: a tied head maps to the embedding's width {}, found {}", build.path(), inner.asked(), width);
    build.restrict(inner, Group::orthogonal, "the embedding's matrix is read and written");
    return inner;
  }

  Options options_;
  std::unique_ptr<LinearMap> project_;
  std::unique_ptr<VocabMap> map_;
};

FORMWORK_PART(Head, LmHead, "lm", "logits over the vocabulary for each token");

}  // namespace
}  // namespace formwork
