// Decoder: a causal language model. Stem, stack, final norm, head.
#include "formwork/models/stack.h"
#include "formwork/models/tokens.h"
#include "formwork/stems/token_stem.h"

namespace formwork {
namespace {

class Decoder final : public Model {
 public:
  struct Options {
    int64_t vocab = 256, width = 64;
    Json layers = Json::array();
    PartSpec norm = "rms_norm", position = "none", stem_norm, head = "lm";
    bool tie = true;
    double stem_scale = 1, dropout = 0;
    void describe(Fields& f) {
      f.integer("vocab", vocab, "size of the vocabulary", 1, 1 << 30);
      f.integer("width", width, "channels of the residual stream", 1, 1 << 20);
      f.json("layers", layers, "layers, or {\"repeat\": n, \"pattern\": [layers]}");
      f.part("norm", norm, "norms", "final norm", true);
      f.part("position", position, "positions", "positions added to the embedding");
      f.part("stem_norm", stem_norm, "norms", "norm after the embedding", true);
      f.part("head", head, "heads", "what is read off the last stream");
      f.flag("tie", tie, "the head shares the embedding's matrix");
      f.number("stem_scale", stem_scale, "factor on the embedding", 0, 1e6);
      f.number("dropout", dropout, "dropout on the embedding", 0, 1);
    }
  };

  Decoder(Build& build, const Options& options) {
    Build root = build;
    root.in = root.out = build.stream("residual", options.width);
    root.causal = true;
    TokenStem::Options stem;
    stem.vocab = options.vocab, stem.position = options.position, stem.norm = options.stem_norm;
    stem.scale = options.stem_scale, stem.dropout = options.dropout;
    stem_ = std::make_unique<TokenStem>(root, "embed", stem);
    stack_ = std::make_unique<Stack>(root, expand_layers(options.layers, "layers"), options.norm);
    Build head = root.at("head");
    head.in = head.out = stack_->out();
    head.input = stack_->output_tap();
    head.embedding = options.tie && options.head.type == "lm" ? &stem_->embedding() : nullptr;
    if (head.embedding && head.in.name != "residual")
      fail("head: tied to the embedding of axis 'residual', but the last stream has axis '{}'", head.in.name);
    head_ = Registry<Head>::make(head, options.head);
  }

  Traits traits() const override {
    Traits traits;
    traits.causal = true;
    return traits;
  }

  Streams start(Context& ctx, const Record& in) override {
    check_fields(in, {"input_ids", "attention_mask", "position_ids", "prefix_lengths", "offsets"});
    auto tokens = read_tokens(in, "");
    ctx.layout = &tokens.layout;
    Streams streams;
    streams["residual"] = {stem_->forward(ctx, tokens.ids, tokens.positions, {}), tokens.layout,
                           tokens.compaction};
    ctx.layout = nullptr;
    return streams;
  }

  void run(Context& ctx, int64_t first, int64_t last, Streams& streams) override {
    auto& stream = streams.at("residual");
    ctx.layout = &stream.layout;
    stream.x = stack_->run(ctx, first, last, stream.x);
    ctx.layout = nullptr;
  }

  void finish(Context& ctx, const Streams& streams, Record& out) override {
    const auto& stream = streams.at("residual");
    ctx.layout = &stream.layout;
    head_->forward(ctx, stack_->finish(ctx, stream.x), out);
    ctx.layout = nullptr;
    if (head_->per_token()) restore_tokens(stream.compaction.get(), out);
  }

  std::vector<std::string> segments() const override { return stack_->names(); }

  ModelState make_state(Context&, const Record&, const StateOptions& options) override {
    ModelState state;
    stack_->make_states(options, state);
    state.lengths = at::zeros({options.batch}, at::kLong);
    return state;
  }

  Record append(Context& ctx, const Record& in, ModelState& state) override {
    check_fields(in, {"input_ids", "attention_mask"});
    auto tokens = read_tokens(in, "");
    if (tokens.ids.size(0) != state.lengths.size(0))
      fail("append: the state has {} rows, the input {}", state.lengths.size(0), tokens.ids.size(0));
    const auto positions = state.lengths.unsqueeze(1) + tokens.positions;
    ctx.layout = &tokens.layout;
    auto x = stack_->append(ctx, stem_->forward(ctx, tokens.ids, positions, {}), state);
    Record out;
    head_->forward(ctx, stack_->finish(ctx, x), out);
    ctx.layout = nullptr;
    state.history.push_back(state.lengths);
    state.lengths =
        state.lengths + (tokens.layout.lengths.defined() ? tokens.layout.lengths
                                                         : at::full_like(state.lengths, tokens.ids.size(1)));
    if (head_->per_token()) restore_tokens(tokens.compaction.get(), out);
    return out;
  }

 private:
  std::unique_ptr<TokenStem> stem_;
  std::unique_ptr<Stack> stack_;
  std::unique_ptr<Head> head_;
};

FORMWORK_PART(Model, Decoder, "decoder", "causal language model");

}  // namespace
}  // namespace formwork
