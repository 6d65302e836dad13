#include "formwork/models/token_tower.h"

namespace formwork {
namespace {

TokenStem::Options stem_options(const TowerOptions& options) {
  TokenStem::Options stem;
  stem.vocab = options.vocab, stem.segments = options.segments, stem.vocab_axis = options.vocab_axis;
  stem.source = options.stem, stem.position = options.position, stem.norm = options.stem_norm;
  stem.embed_width = options.embed_width, stem.scale = options.stem_scale, stem.dropout = options.dropout;
  return stem;
}

}  // namespace

TokenTower::TokenTower(const Build& build, const TowerOptions& options, LinearMap* embedding)
    : stem_(build, "embed", stem_options(options), embedding),
      stack_(build, expand_layers(options.layers, build.name("layers")), options.norm) {}

Stream TokenTower::start(Context& ctx, const Record& in, const std::string& prefix) {
  auto tokens = read_tokens(in, prefix, stem_.field());
  return embed(ctx, tokens, tokens.positions);
}

Stream TokenTower::embed(Context& ctx, const TokenInput& tokens, const Tensor& positions) {
  Stream stream{{}, tokens.layout, tokens.compaction};
  const LayoutScope scope(ctx, stream.layout);
  stream.x = stem_.forward(ctx, tokens.content, positions, tokens.segments);
  ctx.take_entered(stream.layout);
  return stream;
}

void TokenTower::run(Context& ctx, int64_t first, int64_t last, Stream& stream) {
  stack_.run(ctx, first, last, stream);
}

Tensor TokenTower::finish(Context& ctx, const Stream& stream) {
  const LayoutScope scope(ctx, stream.layout);
  return stack_.finish(ctx, stream.x);
}

void TokenTower::finish(Context& ctx, const Stream& stream, Head& head, Record& out) {
  const LayoutScope scope(ctx, stream.layout);
  head.forward(ctx, stack_.finish(ctx, stream.x), out);
  restore_tokens(stream.compaction.get(), head, out);
}

void TokenTower::make_states(const StateOptions& options, ModelState& state) const {
  stack_.make_states(options, state);
  state.lengths = at::zeros({options.batch}, at::TensorOptions(at::kLong).device(options.device));
}

Record TokenTower::append(Context& ctx, const Record& in, const std::string& prefix, Head& head,
                          ModelState& state) {
  auto tokens = read_tokens(in, prefix, stem_.field());
  if (tokens.content.size(0) != state.lengths.size(0))
    fail("append: the state has {} rows, the input {}", state.lengths.size(0), tokens.content.size(0));
  if (state.undecided > 0)
    fail("append: the last append was a tree or has drafts behind it; say first which of its tokens stay");
  auto stream = embed(ctx, tokens, state.lengths.unsqueeze(1) + tokens.positions);
  stack_.append(ctx, stream, state);
  Record out;
  finish(ctx, stream, head, out);
  if (stream.layout.tree) state.undecided = tokens.content.size(1);
  state.history.push_back(state.lengths);
  state.lengths = state.lengths + (tokens.layout.lengths.defined()
                                       ? tokens.layout.lengths
                                       : at::full_like(state.lengths, tokens.content.size(1)));
  return out;
}

std::unique_ptr<Head> TokenTower::make_head(const Build& build, const PartSpec& head, bool tie) const {
  return stack_.make_head(build, head, tie ? stem_.embedding() : nullptr);
}

}  // namespace formwork
