// The scores of formwork/scores, by the same names.
#include "formwork/runtime/mixers/score.h"
#include "formwork/scores/score_options.h"

namespace formwork::runtime {
namespace {

class Softmax final : public Score {
 public:
  using Options = SoftmaxOptions;
  Softmax(Scope&, const Options& options) : cap_(options.cap) {}
  WeightRule rule() const override { return WeightRule::softmax; }
  double cap() const override { return cap_; }

 private:
  double cap_;
};

template <WeightRule kRule>
class Plain final : public Score {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  Plain(Scope&, const Options&) {}
  WeightRule rule() const override { return kRule; }
};

using Saturated = Plain<WeightRule::saturated>;
using StickBreaking = Plain<WeightRule::stick_breaking>;

FORMWORK_PART(Score, Softmax, "softmax", "exponentials over their sum");
FORMWORK_PART(Score, Saturated, "saturated", "equal weights on the largest scores");
FORMWORK_PART(Score, StickBreaking, "stick_breaking", "sigmoids that share a stick, nearest key first");

}  // namespace
}  // namespace formwork::runtime
