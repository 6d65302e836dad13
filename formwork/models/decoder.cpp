// Decoder: a causal language model. Stem, stack, final norm, head.
#include "formwork/models/token_tower.h"

namespace formwork {
namespace {

class Decoder final : public Model {
 public:
  struct Options : TowerOptions {
    PartSpec head = "lm";
    bool tie = true;
    void describe(Fields& f) {
      TowerOptions::describe(f);
      f.part("head", head, "heads", "what is read off the last stream");
      f.flag("tie", tie, "the head shares the embedding's matrix");
    }
  };

  Decoder(Build& build, const Options& options) {
    Build root = build;
    root.in = root.out = build.stream("residual", options.width);
    root.causal = true;
    tower_ = std::make_unique<TokenTower>(root, options);
    head_ = tower_->make_head(root, options.head, options.tie);
  }

  Traits traits() const override {
    Traits traits;
    traits.causal = true;
    return traits;
  }

  Streams start(Context& ctx, const Record& in) override {
    check_fields(in, {"input_ids", "attention_mask", "position_ids", "prefix_lengths", "offsets"});
    return {{"residual", tower_->start(ctx, in, "")}};
  }
  void run(Context& ctx, int64_t first, int64_t last, Streams& streams) override {
    tower_->run(ctx, first, last, streams.at("residual"));
  }
  void finish(Context& ctx, const Streams& streams, Record& out) override {
    tower_->finish(ctx, streams.at("residual"), *head_, out);
  }
  std::vector<std::string> segments() const override { return tower_->segments(); }

  ModelState make_state(Context&, const Record&, const StateOptions& options) override {
    ModelState state;
    tower_->make_states(options, state);
    return state;
  }
  Record append(Context& ctx, const Record& in, ModelState& state) override {
    check_fields(in, {"input_ids", "attention_mask"});
    return tower_->append(ctx, in, "", *head_, state);
  }

 private:
  std::unique_ptr<TokenTower> tower_;
  std::unique_ptr<Head> head_;
};

FORMWORK_PART(Model, Decoder, "decoder", "causal language model");

}  // namespace
}  // namespace formwork
