#include "formwork/runtime/model.h"

#include <algorithm>

#include "formwork/runtime/zeros.h"

namespace formwork::runtime {
namespace {

DecoderOptions decoder_options(const Spec& spec, const Scope& root) {
  const PartSpec chosen = root.resolve(spec.model);
  if (chosen.type != "decoder") refuse("", "model", chosen.type, {"decoder"});
  if (!spec.attach.empty() && !root.others())
    refuse_form("attach", "the part on '{}'", spec.attach.items().begin().key());
  auto options = parse_options<DecoderOptions>(chosen.options, "model");
  if (options.stem) refuse_form("stem", "'{}' (only token ids have)", options.stem.type);
  return options;
}

}  // namespace

Model::Model(const Spec& spec, const RawMap& tensors, const OtherSteps* others) {
  Source source{spec, tensors, kept_};
  source.others = others;
  build(std::move(source));
}

Parameters Model::parameters(const Spec& spec) {
  Parameters asked;
  Zeros zeros;
  Model model;
  model.build({spec, {}, model.kept_, &asked, &zeros});
  return asked;
}

void Model::build(Source source) {
  Scope root(source, "");
  const auto options = decoder_options(source.spec, root);
  root.in = root.out = root.global_axis("residual", options.width);
  scale_ = options.stem_scale;
  width_ = widest_ = root.in.size;

  const Axis vocab = root.global_axis("vocab", options.vocab);
  const Axis embedded = options.embed_width ? root.axis("embed.width", options.embed_width) : root.out;
  embedding_ = make_linear(root, "embed", {embedded, vocab});
  if (options.embed_width) project_ = make_linear(root, "embed.project", {embedded, root.out});
  Scope position = root.at("position");
  if (const PartSpec chosen = position.resolve(options.position);
      Registry<MixerPosition>::entries().contains(chosen.type) &&
      !Registry<StemPosition>::entries().contains(chosen.type))
    fail("embed: position '{}' acts inside attention; name it as a mixer's position", chosen.type);
  position_ = Registry<StemPosition>::make(position, options.position);
  if (options.stem_norm) {
    Scope child = root.at("embed.norm");
    stem_norm_ = Registry<Norm>::make(child, options.stem_norm);
  }

  Axis stream = root.in;
  const auto layers = expand_layers(options.layers, "layers");
  for (size_t i = 0; i < layers.size(); ++i) {
    Scope child = root.at(fmt::format("layers.{}", i));
    child.in = child.out = stream;
    layers_.push_back(make_wiring(child, layers[i]));
    stream = layers_.back()->out();
    for (const Step* step : layers_.back()->steps()) steps_.push_back(step);
  }
  for (const auto& [name, size] : source.axes) {
    if (name.ends_with(".stream")) widest_ = std::max(widest_, size);
  }
  if (options.norm) {
    Scope child = root.at("norm");
    child.in = child.out = stream;
    norm_ = Registry<Norm>::make(child, options.norm);
  }
  Scope head = root.at("head");
  head.in = head.out = stream;
  head.embedding = options.tie ? embedding_.get() : nullptr;
  head_ = Registry<Head>::make(head, options.head);
}

std::vector<std::unique_ptr<State>> Model::make_states(const StateOptions& options) const {
  std::vector<std::unique_ptr<State>> states;
  for (const Step* step : steps_) states.push_back(step->make_state(options));
  return states;
}

// x [rows, width]: rows of the embedding, through its map where there is one.
void Model::look_up(Pass& pass, float* x) const {
  if (!project_) return embedding_->rows(pass, pass.ids, pass.rows, x);
  const Arena::Frame frame(pass.arena);
  const int64_t narrow = embedding_->inputs();
  float* rows = pass.arena.take(narrow);
  embedding_->rows(pass, pass.ids, pass.rows, rows);
  project_->run(pass, pass.rows, {rows, narrow}, {x, width_});
}

void Model::embed(Pass& pass, Stream& stream) const {
  stream.width = width_;
  for (int64_t r = 0; r < pass.rows; ++r)
    if (pass.ids[r] < 0 || pass.ids[r] >= vocab())
      fail("embed: token id {} is outside the vocabulary of {}", pass.ids[r], vocab());
  look_up(pass, stream.x);
  if (scale_ != 1)
    for (int64_t i = 0; i < pass.rows * width_; ++i) stream.x[i] *= static_cast<float>(scale_);
  position_->embed(pass, stream.x);
  const Arena::Frame frame(pass.arena);
  float* spare = pass.arena.take(1);
  if (stem_norm_) stem_norm_->run(pass.rows, stream.x, stream.x, spare);
}

void Model::run(Pass& pass, const std::vector<std::unique_ptr<State>>& states, Stream& stream) const {
  embed(pass, stream);
  for (size_t i = 0; i < steps_.size(); ++i) steps_[i]->run(pass, states[i].get(), stream);
  const Arena::Frame frame(pass.arena);
  float* spare = pass.arena.take(1);
  if (norm_) norm_->run(pass.rows, stream.x, stream.x, spare);
}

}  // namespace formwork::runtime
