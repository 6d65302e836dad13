// A single part as a model, so that every part can be built from a Spec, run, decoded, saved and measured
// alone: {"type": "part", "kind": "mixers", "part": {"type": "attention"}, "width": 64}.
//
// Record: x [B, T, D] with attention_mask [B, T], lengths [B] or offsets [S + 1] where rows differ, and
// memory [B, S, M] for mixers that read another stream -> y [B, T, D']. The axis "residual" is the caller's:
// a transform that changes it changes what x and y mean.
#include "formwork/activations/activation.h"
#include "formwork/heads/reconstructors/reconstructor.h"
#include "formwork/models/model.h"
#include "formwork/models/tokens.h"
#include "formwork/positions/position.h"
#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

// The steps of a part, and what owns them.
struct Body {
  std::shared_ptr<Part> owner;
  std::vector<Step> steps;
  Axis out;
};

// Stateless kinds, whose parts are functions of the stream, as layers.
template <class Kind>
class Applied final : public Layer, public SplitFacet {
 public:
  Applied(Build& build, const PartSpec& spec)
      : path_(build.path()), part_(Registry<Kind>::make(build, spec)) {}
  Traits traits() const override {
    auto traits = part_->traits();
    traits.causal = true;
    return traits;
  }
  Tensor forward(Context& ctx, const Tensor& x) override { return apply(*part_, ctx, x); }
  Split carry(SplitPass& pass, const Split& x) override { return pass.through(*part_, path_, x); }

 private:
  template <class P>
  static Tensor apply(P& part, Context& ctx, const Tensor& x) {
    return part.forward(ctx, x);
  }
  static Tensor apply(Position& part, Context& ctx, const Tensor& x) {
    const bool given = ctx.layout && ctx.layout->positions.defined();
    return part.embed(ctx, x, given ? ctx.layout->positions : at::arange(x.size(1), at::kLong).unsqueeze(0));
  }
  std::string path_;
  std::unique_ptr<Kind> part_;
};

// A reconstructor of the stream itself, token for token.
class Reconstructing final : public Layer {
 public:
  Reconstructing(Build& build, const PartSpec& spec)
      : part_(Registry<Reconstructor>::make(spec, build, Enlargement())) {}
  Traits traits() const override { return part_->traits(); }
  Tensor forward(Context& ctx, const Tensor& x) override {
    return part_->forward(ctx, x, ctx.layout ? *ctx.layout : Layout());
  }

 private:
  std::unique_ptr<Reconstructor> part_;
};

template <class L>
Body one_layer(std::shared_ptr<L> layer, Build& build) {
  build.register_part(*layer);
  return {layer, {{layer.get(), build.path()}}, build.out};
}

using MakeBody = Body (*)(Build&, const PartSpec&);

const std::map<std::string, MakeBody>& kinds() {
  static const std::map<std::string, MakeBody> table = {
      {"mixers",
       [](Build& build, const PartSpec& spec) {
         return one_layer(std::shared_ptr<TokenMixer>(make_mixer(build, spec)), build);
       }},
      {"channels",
       [](Build& build, const PartSpec& spec) {
         return one_layer(std::shared_ptr<ChannelMixer>(Registry<ChannelMixer>::make(build, spec)), build);
       }},
      {"norms",
       [](Build& build, const PartSpec& spec) {
         return one_layer(std::make_shared<Applied<Norm>>(build, spec), build);
       }},
      {"activations",
       [](Build& build, const PartSpec& spec) {
         return one_layer(std::make_shared<Applied<Activation>>(build, spec), build);
       }},
      {"positions",
       [](Build& build, const PartSpec& spec) {
         return one_layer(std::make_shared<Applied<Position>>(build, spec), build);
       }},
      {"reconstructors",
       [](Build& build, const PartSpec& spec) {
         return one_layer(std::make_shared<Reconstructing>(build, spec), build);
       }},
      {"wiring", [](Build& build, const PartSpec& spec) {
         std::shared_ptr<Wiring> wiring = Registry<Wiring>::make(build, spec);
         return Body{wiring, wiring->steps(), wiring->out()};
       }}};
  return table;
}

class SinglePart final : public Model, public SplitModelFacet {
 public:
  struct Options {
    std::string kind = "mixers";
    PartSpec part;
    int64_t width = 64, memory_width = 0;
    bool causal = true;
    Json dims = Json::object();
    void describe(Fields& f) {
      std::vector<std::string> names;
      for (const auto& [name, make] : kinds()) names.push_back(name);
      f.choice("kind", kind, names, "the kind of part");
      f.part("part", part, "any", "the part");
      f.integer("width", width, "channels of x", 1, 1 << 20);
      f.integer("memory_width", memory_width, "channels of the stream \"memory\"; 0: there is none", 0,
                1 << 20);
      f.flag("causal", causal, "token mixers may not look at later tokens");
      f.json("dims", dims, "token dimensions, name to size: {\"height\": 4, \"width\": 4}");
    }
  };

  SinglePart(Build& build, const Options& options) {
    Build child = build.at("part");
    child.in = child.out = build.stream("residual", options.width);
    child.causal = options.causal;
    input_ = child.input = build.tap("x", child.in);
    if (options.memory_width) child.streams["memory"] = build.stream("memory", options.memory_width);
    for (const auto& [name, size] : options.dims.items()) {
      if (!size.is_number_integer()) fail("part: dims.{}: expected a size, found {}", name, size.dump());
      dims_.push_back({name, size.get<int64_t>()});
    }
    body_ = kinds().at(options.kind)(child, options.part);
    fields_ = {"x", "attention_mask", "lengths", "offsets"};
    if (options.memory_width) fields_.push_back("memory");
  }

  Traits traits() const override {
    auto all = Traits{};
    all.causal = true;
    for (const auto& step : body_.steps) {
      const auto traits = step.layer->traits();
      all.causal &= traits.causal;
      all.batch_independent &= traits.batch_independent;
      all.length_free &= traits.length_free;
      all.deterministic &= traits.deterministic;
      all.twice_differentiable &= traits.twice_differentiable;
    }
    return all;
  }

  Streams start(Context& ctx, const Record& in) override {
    check_fields(in, fields_);
    auto stream = read(in);
    stream.x = ctx.tap(input_, stream.x);
    Streams streams;
    streams["residual"] = std::move(stream);
    if (const auto memory = in.find("memory"); memory != in.end())
      streams["memory"] = Stream{memory->second, {}, nullptr};
    return streams;
  }

  void run(Context& ctx, int64_t first, int64_t last, Streams& streams) override {
    auto& stream = streams.at("residual");
    const LayoutScope scope(ctx, stream.layout);
    ctx.streams = &streams;
    for (int64_t i = first; i < last; ++i) {
      const auto& step = body_.steps.at(static_cast<size_t>(i));
      stream.x = step.layer->forward(ctx, stream.x);
      if (step.tokens) stream.layout = step.tokens->after(stream.layout);
    }
    ctx.streams = nullptr;
  }

  void finish(Context&, const Streams& streams, Record& out) override {
    const auto& stream = streams.at("residual");
    out["y"] = stream.compaction ? stream.compaction->restore(stream.x) : stream.x;
  }

  Split carry(SplitPass& pass, int64_t first, int64_t last, Split x) override {
    for (int64_t i = first; i < last; ++i) {
      const auto& step = body_.steps.at(static_cast<size_t>(i));
      x = pass.through(*step.layer, step.name, x);
    }
    return x;
  }
  Split finish(SplitPass&, const Split& x) override { return x; }

  std::vector<std::string> segments() const override {
    std::vector<std::string> names;
    for (const auto& step : body_.steps) names.push_back(step.name);
    return names;
  }

  ModelState make_state(Context&, const Record& in, const StateOptions& options) override {
    check_fields(in, {"memory"});
    ModelState state;
    for (const auto& step : body_.steps) state.steps.push_back(step.layer->make_state(options));
    if (const auto memory = in.find("memory"); memory != in.end())
      state.streams["memory"] = Stream{memory->second, {}, nullptr};
    state.lengths = at::zeros({options.batch}, at::TensorOptions(at::kLong).device(options.device));
    return state;
  }

  Record append(Context& ctx, const Record& in, ModelState& state) override {
    check_fields(in, {"x", "attention_mask", "lengths"});
    auto stream = read(in);
    auto x = ctx.tap(input_, stream.x);
    const auto counts = stream.layout.lengths;
    // Parts that read positions count on from the tokens that a row has seen.
    stream.layout.positions =
        state.lengths.unsqueeze(1) + at::arange(x.size(1), state.lengths.options()).unsqueeze(0);
    const LayoutScope scope(ctx, stream.layout);
    ctx.streams = &state.streams;
    for (size_t i = 0; i < body_.steps.size(); ++i)
      x = body_.steps[i].layer->append(ctx, x, state.steps[i].get());
    ctx.streams = nullptr;
    state.history.push_back(state.lengths);
    state.lengths = state.lengths + (counts.defined() ? counts : at::full_like(state.lengths, x.size(1)));
    return {{"y", stream.compaction ? stream.compaction->restore(x) : x}};
  }

 private:
  Stream read(const Record& in) const {
    const auto x = in.find("x");
    if (x == in.end() || x->second.dim() != 3) fail("part: input 'x' must be [B, T, D]");
    Stream stream{x->second, {}, nullptr};
    if (const auto mask = in.find("attention_mask"); mask != in.end()) {
      stream.compaction = std::make_shared<Compaction>(mask->second);
      stream.layout.lengths = stream.compaction->lengths();
      stream.x = stream.compaction->align(stream.x);
    }
    if (const auto lengths = in.find("lengths"); lengths != in.end())
      stream.layout.lengths = lengths->second.to(at::kLong);
    if (const auto offsets = in.find("offsets"); offsets != in.end()) {
      const auto flat = offsets->second.to(at::kLong).contiguous();
      stream.layout.offsets = {flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel()};
      stream.layout.positions = packed_positions(stream.layout.offsets);
    }
    stream.layout.dims = dims_;
    return stream;
  }

  Body body_;
  Slot input_;
  std::vector<TokenDim> dims_;
  std::vector<std::string> fields_;
};

FORMWORK_PART(Model, SinglePart, "part", "one part alone: x -> y");

}  // namespace
}  // namespace formwork
