// Decoder: a causal model of rows, of token ids or, with a stem, of vectors. Stem, stack, final norm, head.
#include "formwork/models/tower_model.h"

namespace formwork {
namespace {

class Decoder final : public TowerModel {
 public:
  using Options = DecoderOptions;

  Decoder(Build& build, const Options& options)
      : TowerModel(build, options, /*causal=*/true,
                   with_draft_fields({"attention_mask", "position_ids", "prefix_lengths", "offsets"})) {}

  Traits traits() const override {
    Traits traits;
    traits.causal = true;
    return traits;
  }

  ModelState make_state(Context&, const Record&, const StateOptions& options) override {
    ModelState state;
    tower_.make_states(options, state);
    return state;
  }
  Record append(Context& ctx, const Record& in, ModelState& state) override {
    check_fields(in, with_draft_fields({tower_.field(), "attention_mask"}));
    return tower_.append(ctx, in, "", *head_, state);
  }
};

FORMWORK_PART(Model, Decoder, "decoder", "causal language model");

}  // namespace
}  // namespace formwork
