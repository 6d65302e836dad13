// Softmax over permitted keys: w_j = exp(l_j) / sum_k exp(l_k). With a cap c, l becomes c tanh(l / c) first
// (Gemma Team, "Gemma 2: Improving Open Language Models at a Practical Size", 2024).
#include "formwork/scores/score.h"

namespace formwork {

FORMWORK_KIND(Score);

namespace {

class Softmax final : public Score {
 public:
  struct Options {
    double cap = 0;
    void describe(Fields& f) {
      f.number("cap", cap, "logits end smoothly at this size; 0: they have no end", 0, 1e6);
    }
  };
  Softmax(Build&, const Options& options) : cap_(options.cap) {}
  bool is_softmax() const override { return cap_ == 0; }
  Tensor weights(Context&, const Tensor& given, const Tensor& permitted) override {
    const auto logits = cap_ > 0 ? (given / cap_).tanh() * cap_ : given;
    if (!permitted.defined()) return logits.softmax(-1);
    const auto barred = permitted.logical_not();
    // A row without keys would be 0/0: it gets finite logits and is then cleared.
    return logits.masked_fill(barred, -INFINITY)
        .masked_fill(barred.all(-1, true), 0)
        .softmax(-1)
        .masked_fill(barred, 0);
  }

 private:
  double cap_;
};

FORMWORK_PART(Score, Softmax, "softmax", "exp(l) over its sum");

}  // namespace
}  // namespace formwork
