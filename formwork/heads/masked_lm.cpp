// Masked-LM head (Devlin et al., 2018): logits = norm(f(x V^T + c)) W^T + b, W [vocab, D], shared with the
// embedding when tied.
#include "formwork/activations/activation.h"
#include "formwork/heads/head.h"
#include "formwork/heads/vocab_map.h"
#include "formwork/norms/norm.h"

namespace formwork {
namespace {

class MaskedLmHead final : public Head, public SplitFacet {
 public:
  struct Options {
    PartSpec activation = "gelu", norm = "layer_norm";
    bool bias = true, transform_bias = true;
    void describe(Fields& f) {
      f.part("activation", activation, "activations", "after the first map");
      f.part("norm", norm, "norms", "after the activation", true);
      f.flag("bias", bias, "a bias for each token of the vocabulary");
      f.flag("transform_bias", transform_bias, "a bias on the first map");
    }
  };

  MaskedLmHead(Build& build, const Options& options) : path_(build.path()) {
    // A tied head must return to the embedding's axis; a head of its own needs no such bond.
    const Axis inner = build.embedding ? build.embedding->need().in.segments.at(0).at(0)
                                       : build.axis("inner", build.in.asked());
    Build child = build.at("activation");
    activation_ = Registry<Activation>::make(child, options.activation);
    build.restrict(inner, activation_->symmetry(), "an activation acts on each channel");
    LinearNeed need;
    need.role = Role::head, need.in = build.in, need.out = inner, need.bias = options.transform_bias;
    need.input = build.input, need.init = init::normal(0.02);
    transform_ = make_linear(build, "transform", need);
    Slot read = -1;
    if (options.norm) {
      Build scope = build.at("norm");
      scope.in = scope.out = inner;
      norm_ = Registry<Norm>::make(scope, options.norm);
      read = norm_->output_tap();
    }
    map_ = std::make_unique<VocabMap>(build, inner, read, options.bias);
  }

  void forward(Context& ctx, const Tensor& x, Record& out) override {
    auto hidden = activation_->forward(ctx, transform_->forward(ctx, x));
    if (norm_) hidden = norm_->forward(ctx, hidden);
    out["logits"] = map_->forward(ctx, hidden);
  }
  Split carry(SplitPass& pass, const Split& x) override {
    auto hidden = pass.through(*activation_, path_ + ".activation", through(pass, *transform_, x));
    if (norm_) hidden = pass.through(*norm_, path_ + ".norm", hidden);
    return map_->carry(pass, hidden);
  }

 private:
  std::string path_;
  std::unique_ptr<Activation> activation_;
  std::unique_ptr<LinearMap> transform_;
  std::unique_ptr<Norm> norm_;
  std::unique_ptr<VocabMap> map_;
};

FORMWORK_PART(Head, MaskedLmHead, "masked_lm", "logits over the vocabulary after a map, activation and norm");

}  // namespace
}  // namespace formwork
