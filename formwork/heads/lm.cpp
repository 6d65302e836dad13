// Language-model head: logits = x W^T (+ b), W [vocab, D], shared with the embedding when tied.
#include "formwork/heads/head.h"
#include "formwork/heads/lm_options.h"
#include "formwork/heads/vocab_map.h"

namespace formwork {

FORMWORK_KIND(Head);

namespace {

class LmHead final : public Head {
 public:
  using Options = LmHeadOptions;

  LmHead(Build& build, const Options& options) : map_(build, build.in, build.input, options.bias) {}

  void forward(Context& ctx, const Tensor& x, Record& out) override { out["logits"] = map_.forward(ctx, x); }

 private:
  VocabMap map_;
};

FORMWORK_PART(Head, LmHead, "lm", "logits over the vocabulary for each token");

}  // namespace
}  // namespace formwork
