// Encoder: every token sees every other (Devlin et al., 2018). Stem (with token types where asked), stack,
// final norm, head.
#include "formwork/models/token_tower.h"

namespace formwork {
namespace {

class Encoder final : public Model {
 public:
  struct Options : TowerOptions {
    PartSpec head = "hidden";
    bool tie = true;
    void describe(Fields& f) {
      TowerOptions::describe(f);
      f.integer("segments", segments, "token types, each with a vector added to the embedding; 0: none", 0,
                1 << 20);
      f.part("head", head, "heads", "what is read off the last stream");
      f.flag("tie", tie, "a head over the vocabulary shares the embedding's matrix");
    }
  };

  Encoder(Build& build, const Options& options) {
    Build root = build;
    root.in = root.out = build.stream("residual", options.width);
    root.causal = false;
    tower_ = std::make_unique<TokenTower>(root, options);
    head_ = tower_->make_head(root, options.head, options.tie);
    fields_ = {"input_ids", "attention_mask", "position_ids", "offsets"};
    if (options.segments) fields_.push_back("token_type_ids");
  }

  Streams start(Context& ctx, const Record& in) override {
    check_fields(in, fields_);
    return {{"residual", tower_->start(ctx, in, "")}};
  }
  void run(Context& ctx, int64_t first, int64_t last, Streams& streams) override {
    tower_->run(ctx, first, last, streams.at("residual"));
  }
  void finish(Context& ctx, const Streams& streams, Record& out) override {
    tower_->finish(ctx, streams.at("residual"), *head_, out);
  }
  std::vector<std::string> segments() const override { return tower_->segments(); }

 private:
  std::unique_ptr<TokenTower> tower_;
  std::unique_ptr<Head> head_;
  std::vector<std::string> fields_;
};

FORMWORK_PART(Model, Encoder, "encoder", "tokens that see each other: masked LM, classifier, embedder");

}  // namespace
}  // namespace formwork
