#include "formwork/heads/vocab_map.h"

namespace formwork {

VocabMap::VocabMap(const Build& build, const Axis& in, Slot input, bool bias) : map_(build.embedding) {
  if (!map_) {
    const auto& axes = build.inventory().axes;
    if (!axes.count("vocab"))
      fail("{}: reads a vocabulary, which a model without tokens lacks", build.path());
    LinearNeed need;
    need.role = Role::head, need.in = in, need.bias = bias, need.input = input;
    need.out = build.global_axis("vocab", axes.at("vocab").size);
    need.init = init::normal(0.02);
    // The map's path is the head's own: "head.weight".
    own_ = make_linear(build, "", need);
    map_ = own_.get();
    return;
  }
  if (!map_->need().in.carries(in.name))
    fail("{}: tied to the embedding of axis '{}', but the stream it reads has axis '{}'", build.path(),
         map_->need().in.describe(), in.name);
  build.inventory().ties.emplace_back(build.path() + ".weight", map_->path() + ".weight");
  // A norm may not fold into the embedding's matrix, which the stem reads as well.
  if (input >= 0) build.inventory().raw_reads.emplace_back(input, build.path());
  if (!bias) return;
  Rule rule;
  rule.decay = false;
  Dim vocab = map_->need().out;
  vocab.writes = true;
  bias_ = build.param("bias", {vocab}, rule);
}

Tensor VocabMap::forward(Context& ctx, const Tensor& x) const {
  auto logits = map_->forward(ctx, x);
  return bias_ ? logits + ctx.value(*bias_) : logits;
}

Split VocabMap::carry(SplitPass& pass, const Split& x) const {
  const auto logits = through(pass, *map_, x);
  return pass.share_bias(logits, logits, bias_ ? pass.ctx().value(*bias_) : Tensor());
}

}  // namespace formwork
