// Language-model head: logits = x W^T, W [vocab, D], shared with the embedding when tied.
#include "formwork/heads/head.h"
#include "formwork/linear/linear_map.h"

namespace formwork {

FORMWORK_KIND(Head);

namespace {

class LmHead final : public Head {
 public:
  struct Options {
    bool bias = false;
    void describe(Fields& f) {
      f.flag("bias", bias, "a bias for each token of the vocabulary (untied heads)");
    }
  };

  LmHead(Build& build, const Options& options) : tied_(build.embedding) {
    if (tied_) {
      if (options.bias) fail("{}: a head that is tied to the embedding has no bias of its own", build.path());
      build.inventory().ties.emplace_back(build.path() + ".weight", tied_->path() + ".weight");
      return;
    }
    LinearNeed need;
    need.role = Role::head, need.in = build.in, need.bias = options.bias, need.input = build.input;
    need.out = build.global_axis("vocab", build.inventory().axes.at("vocab").size);
    need.init = init::normal(0.02);
    // The head's path is the part's own: "head.weight".
    Build parent = build;
    map_ = make_linear(parent, "", need);
  }

  void forward(Context& ctx, const Tensor& x, Record& out) override {
    out["logits"] = (tied_ ? tied_ : map_.get())->forward(ctx, x);
  }

 private:
  LinearMap* tied_;
  std::unique_ptr<LinearMap> map_;
};

FORMWORK_PART(Head, LmHead, "lm", "logits over the vocabulary for each token");

}  // namespace
}  // namespace formwork
