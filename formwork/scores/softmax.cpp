// Softmax over permitted keys: w_j = exp(l_j) / sum_k exp(l_k).
#include "formwork/scores/score.h"

namespace formwork {

FORMWORK_KIND(Score);

namespace {

class Softmax final : public Score {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  Softmax(Build&, const Options&) {}
  bool is_softmax() const override { return true; }
  Tensor weights(Context&, const Tensor& logits, const Tensor& permitted) override {
    if (!permitted.defined()) return logits.softmax(-1);
    const auto barred = permitted.logical_not();
    // A row without keys would be 0/0: it gets finite logits and is then cleared.
    return logits.masked_fill(barred, -INFINITY)
        .masked_fill(barred.all(-1, true), 0)
        .softmax(-1)
        .masked_fill(barred, 0);
  }
};

FORMWORK_PART(Score, Softmax, "softmax", "exp(l) over its sum");

}  // namespace
}  // namespace formwork
