// Learned absolute positions: x + P[position], P [context, D] (Gehring et al., 2017; Devlin et al., 2018).
#include "formwork/positions/position.h"
#include "formwork/positions/position_options.h"

namespace formwork {
namespace {

class LearnedPosition final : public Position {
 public:
  using Options = LearnedPositionOptions;

  LearnedPosition(Build& build, const Options& options) : path_(build.path()) {
    Rule rule;
    rule.init = init::normal(options.std);
    rule.decay = false;
    Dim width = build.in;
    width.writes = true;
    const Axis context = build.axis("context", options.context, Group::none);
    table_ = build.param("weight", {context, width}, rule);
  }

  Traits traits() const override {
    Traits traits;
    traits.length_free = false;
    return traits;
  }

  Tensor embed(Context& ctx, const Tensor& x, const Tensor& positions) override {
    const auto& table = ctx.value(*table_);
    if (positions.numel() && positions.max().item<int64_t>() >= table.size(0))
      fail("{}: position {} is past the {} learned ones", path_, positions.max().item<int64_t>(),
           table.size(0));
    return x + at::embedding(table, positions);
  }

 private:
  std::string path_;
  Param* table_;
};

FORMWORK_PART(Position, LearnedPosition, "learned",
              "a learned vector for each position, added to the embedding");

}  // namespace
}  // namespace formwork
