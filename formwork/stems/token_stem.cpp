#include "formwork/stems/token_stem.h"

namespace formwork {

TokenStem::TokenStem(const Build& build, const std::string& name, const Options& options, LinearMap* shared)
    : options_(options), path_(build.name(name)), embedding_(shared) {
  if (options.source)
    make_source(build, "stem");
  else if (shared)
    build.inventory().ties.emplace_back(path_ + ".weight", shared->path() + ".weight");
  else
    make_embedding(build, name);
  if (options.embed_width) {
    LinearNeed need;
    need.role = Role::inner, need.in = embedding_->need().in, need.out = build.out;
    need.in.writes = false;
    need.init = init::normal(options.std);
    project_ = make_linear(build, name + ".project", need);
  }
  Build position = build.at("position");
  position.in = position.out = build.out;
  position_ = Registry<Position>::make(position, options.position);
  if (position_->rotates() || position_->biases())
    fail("{}: position '{}' acts inside attention; name it as a mixer's position", path_,
         options.position.type);
  if (options.segments) {
    Rule rule;
    rule.init = init::normal(options.std);
    Dim width = build.out;
    width.writes = true;
    segments_ = build.param(name + ".segments", {Dim::plain(options.segments), width}, rule);
  }
  if (options.norm) {
    Build child = build.at(name + ".norm");
    child.in = child.out = build.out;
    norm_ = Registry<Norm>::make(child, options.norm);
  }
  output_ = build.tap(name + ".out_stream", build.out);
}

void TokenStem::make_source(const Build& build, const std::string& name) {
  if (options_.embed_width)
    fail("{}: embed_width has no effect with stem '{}', which has no embedding", path_, options_.source.type);
  Build child = build.at(name);
  auto stem = Registry<Stem>::make(child, options_.source);
  source_.reset(dynamic_cast<TokenwiseStem*>(stem.get()));
  if (!source_)
    fail("{}: stem '{}' does not take a row's tokens one by one; expected one that does, such as 'linear'",
         child.path(), options_.source.type);
  (void)stem.release();
}

void TokenStem::make_embedding(const Build& build, const std::string& name) {
  LinearNeed need;
  need.role = Role::embed, need.init = init::normal(options_.std);
  need.in = options_.embed_width ? build.axis(name + ".width", options_.embed_width) : build.out;
  // Rows of W are what the stem writes to the stream, so its inner dimension is the written one.
  need.in.writes = true;
  need.out = build.global_axis(options_.vocab_axis, options_.vocab, Group::permute);
  own_ = make_linear(build, name, need);
  embedding_ = own_.get();
}

Tensor TokenStem::look_up(Context& ctx, const Tensor& ids) {
  if (ids.numel()) {
    const auto low = ids.min().item<int64_t>(), high = ids.max().item<int64_t>();
    const int64_t vocab = embedding_->out();
    if (low < 0 || high >= vocab)
      fail("{}: token id {} is outside the vocabulary of {}", path_, low < 0 ? low : high, vocab);
  }
  return embedding_->rows(ctx, ids);
}

Tensor TokenStem::forward(Context& ctx, const Tensor& tokens, const Tensor& positions,
                          const Tensor& segments) {
  auto x = source_ ? source_->embed(ctx, tokens) : look_up(ctx, tokens);
  if (project_) x = project_->forward(ctx, x);
  if (options_.scale != 1) x = x * options_.scale;
  if (segments_) {
    const auto types = segments.defined() ? segments : at::zeros({x.size(0), x.size(1)}, positions.options());
    x = x + at::embedding(ctx.value(*segments_), types);
  }
  x = position_->embed(ctx, x, positions);
  if (norm_) x = norm_->forward(ctx, x);
  return ctx.tap(output_, ctx.dropout(path_ + ".dropout", x, options_.dropout));
}

}  // namespace formwork
