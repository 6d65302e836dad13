// The most probable token at each step; of equals, the first.
#include "formwork/decode/decode_strategy.h"

namespace formwork {
namespace {

class Greedy final : public TokenByToken {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  explicit Greedy(const Options&) {}

  Tensor choose(const Step& step) const override { return step.logits.argmax(-1); }
};

FORMWORK_PART(DecodeStrategy, Greedy, "greedy", "the most probable token at each step");

}  // namespace
}  // namespace formwork
