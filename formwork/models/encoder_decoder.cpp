// Encoder-decoder (Vaswani et al., 2017): the encoder's last stream, after its final norm, is the stream
// "memory" [B, S, D_source]; decoder layers read it through "cross":
//
//   {"mixer": {"type": "attention"}, "cross": {"type": "attention", "memory": "memory"}, "channel": "mlp"}
//
// Record: input_ids, attention_mask, position_ids for the encoder; decoder_input_ids,
// decoder_attention_mask, decoder_position_ids for the decoder. Segments: the encoder's steps, then the
// decoder's; the encoder's final norm belongs to its last step.
#include "formwork/models/token_tower.h"

namespace formwork {
namespace {

class EncoderDecoder final : public Model {
 public:
  struct Options : TowerOptions {
    Json encoder_layers = Json::array(), decoder_layers = Json::array();
    int64_t source_vocab = 0, source_width = 0;
    bool share = true, tie = true;
    PartSpec head = "lm";
    void describe(Fields& f) {
      describe_tower(f);
      f.json("encoder_layers", encoder_layers, "layers, or {\"repeat\": n, \"pattern\": [layers]}");
      f.json("decoder_layers", decoder_layers, "the same; they read \"memory\" through \"cross\"");
      f.flag("share", share, "encoder and decoder share one embedding, and so the axis of their streams");
      f.integer("source_vocab", source_vocab, "the encoder's vocabulary where not shared; 0: the same");
      f.integer("source_width", source_width, "the encoder's width where not shared; 0: the same");
      f.part("head", head, "heads", "what is read off the decoder's last stream");
      f.flag("tie", tie, "the head shares the decoder's embedding");
    }
  };

  EncoderDecoder(Build& build, const Options& options) {
    if (options.share && (options.source_vocab || options.source_width))
      fail("encoder_decoder: a shared embedding leaves no room for source_vocab or source_width");
    TowerOptions source = options, target = options;
    source.layers = options.encoder_layers, target.layers = options.decoder_layers;
    if (options.source_vocab) source.vocab = options.source_vocab;
    if (options.source_width) source.width = options.source_width;
    if (!options.share) source.vocab_axis = "encoder.vocab";

    // One embedding writes both streams, so whatever turns one of them turns the other.
    Build encoder = build.at("encoder"), decoder = build.at("decoder");
    encoder.in = encoder.out = options.share ? build.stream("residual", options.width)
                                             : build.stream("encoder.residual", source.width);
    encoder.causal = false;
    encoder_ = std::make_unique<TokenTower>(encoder, source);
    decoder.in = decoder.out = options.share ? encoder.in : build.stream("decoder.residual", options.width);
    decoder.causal = true;
    decoder.streams["memory"] = encoder_->out();
    decoder_ = std::make_unique<TokenTower>(decoder, target, options.share ? encoder_->embedding() : nullptr);
    head_ = decoder_->make_head(build, options.head, options.tie);
  }

  Streams start(Context& ctx, const Record& in) override {
    check_fields(in, with_draft_fields({"input_ids", "attention_mask", "position_ids", "decoder_input_ids",
                                        "decoder_attention_mask", "decoder_position_ids"},
                                       "decoder_"));
    Streams streams;
    streams["memory"] = start_memory(ctx, in);
    streams["residual"] = decoder_->start(ctx, in, "decoder_");
    if (streams["memory"].x.size(0) != streams["residual"].x.size(0))
      fail("decoder_input_ids: expected the {} rows of input_ids, found {}", streams["memory"].x.size(0),
           streams["residual"].x.size(0));
    return streams;
  }

  void run(Context& ctx, int64_t first, int64_t last, Streams& streams) override {
    const int64_t border = encoder_->size();
    if (first < border) run_encoder(ctx, first, std::min(last, border), streams.at("memory"));
    if (last <= border) return;
    ctx.streams = &streams;
    decoder_->run(ctx, std::max<int64_t>(0, first - border), last - border, streams.at("residual"));
    ctx.streams = nullptr;
  }

  void finish(Context& ctx, const Streams& streams, Record& out) override {
    decoder_->finish(ctx, streams.at("residual"), *head_, out);
  }

  std::vector<std::string> segments() const override {
    auto names = encoder_->segments();
    for (auto& name : decoder_->segments()) names.push_back(std::move(name));
    return names;
  }

  bool reads_source() const override { return true; }
  // The encoder runs once, over input_ids and attention_mask.
  ModelState make_state(Context& ctx, const Record& in, const StateOptions& options) override {
    check_fields(in, {"input_ids", "attention_mask", "position_ids"});
    ModelState state;
    auto memory = start_memory(ctx, in);
    if (memory.x.size(0) != options.batch)
      fail("encoder_decoder: a state of {} rows was given {} rows of input_ids", options.batch,
           memory.x.size(0));
    run_encoder(ctx, 0, encoder_->size(), memory);
    state.streams["memory"] = std::move(memory);
    decoder_->make_states(options, state);
    return state;
  }

  // Takes decoder_input_ids, or input_ids as a decoder does: the encoder has had its own.
  Record append(Context& ctx, const Record& in, ModelState& state) override {
    const std::string prefix = in.count("input_ids") ? "" : "decoder_";
    check_fields(in, with_draft_fields({prefix + "input_ids", prefix + "attention_mask"}, prefix));
    ctx.streams = &state.streams;
    auto out = decoder_->append(ctx, in, prefix, *head_, state);
    ctx.streams = nullptr;
    return out;
  }

 private:
  Stream start_memory(Context& ctx, const Record& in) {
    auto memory = encoder_->start(ctx, in, "");
    if (encoder_->size() == 0) memory.x = encoder_->finish(ctx, memory);
    return memory;
  }

  void run_encoder(Context& ctx, int64_t first, int64_t last, Stream& memory) {
    encoder_->run(ctx, first, last, memory);
    if (first < last && last == encoder_->size()) memory.x = encoder_->finish(ctx, memory);
  }

  std::unique_ptr<TokenTower> encoder_, decoder_;
  std::unique_ptr<Head> head_;
};

FORMWORK_PART(Model, EncoderDecoder, "encoder_decoder", "an encoder whose last stream a decoder reads");

}  // namespace
}  // namespace formwork
