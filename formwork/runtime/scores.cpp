// The scores of formwork/scores, by the same names.
#include "formwork/runtime/mixers/score.h"
#include "formwork/scores/score_options.h"

namespace formwork::runtime {
namespace {

class Softmax final : public Score {
 public:
  using Options = SoftmaxOptions;
  Softmax(Scope&, const Options& options) : cap_(options.cap) {}
  ScoreRule rule() const override { return ScoreRule::softmax; }
  double cap() const override { return cap_; }

 private:
  double cap_;
};

template <ScoreRule kRule>
class Plain final : public Score {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  Plain(Scope&, const Options&) {}
  ScoreRule rule() const override { return kRule; }
};

using Saturated = Plain<ScoreRule::saturated>;
using StickBreaking = Plain<ScoreRule::stick_breaking>;

FORMWORK_PART(Score, Softmax, "softmax", "exponentials over their sum");
FORMWORK_PART(Score, Saturated, "saturated", "equal weights on the largest scores");
FORMWORK_PART(Score, StickBreaking, "stick_breaking", "sigmoids that share a stick, nearest key first");

}  // namespace
}  // namespace formwork::runtime
