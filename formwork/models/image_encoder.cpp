// Image encoder: parts of an image that see each other. Stem, layers, final norm, head over one stream:
//
//   x_0 = stem(pixel_values),  x_{i+1} = step_i(x_i),  y = head(norm(x_last))        x [B, T, D]
//
// One width and one map throughout make a ViT (Dosovitskiy et al., 2021); layers that merge patches make a
// pyramid, whose maps become coarser and wider from stage to stage (Liu et al., "Swin Transformer", 2021).
#include "formwork/models/stack.h"
#include "formwork/models/tokens.h"
#include "formwork/stems/stem.h"

namespace formwork {
namespace {

// Stochastic depth grows evenly from 0 in the first layer to `most` in the last (Huang et al., 2016); merging
// layers have none, and a layer that names its own keeps it.
std::vector<PartSpec> with_drop_path(std::vector<PartSpec> layers, double most) {
  if (most == 0) return layers;
  std::vector<PartSpec*> dropping;
  for (auto& layer : layers)
    if (Registry<Wiring>::find(layer.type).schema().contains("drop_path")) dropping.push_back(&layer);
  const auto last = static_cast<double>(std::max<size_t>(2, dropping.size()) - 1);
  for (size_t i = 0; i < dropping.size(); ++i)
    dropping[i]->options.emplace("drop_path", most * static_cast<double>(i) / last);
  return layers;
}

Build with_stream(Build build, int64_t width) {
  build.in = build.out = build.stream("residual", width);
  build.causal = false;
  return build;
}

class ImageEncoder final : public Model, public SplitModelFacet {
 public:
  struct Options {
    PartSpec stem = "patch", norm = "layer_norm", head = "hidden";
    int64_t width = 192;
    Json layers = Json::array();
    double drop_path = 0;
    void describe(Fields& f) {
      f.part("stem", stem, "stems", "what makes tokens of the image");
      f.integer("width", width, "channels of the stream after the stem", 1, 1 << 20);
      f.json("layers", layers, "layers, or {\"repeat\": n, \"pattern\": [layers]}");
      f.number("drop_path", drop_path, "of the last layer; grows from 0 in the first", 0, 1);
      f.part("norm", norm, "norms", "final norm", true);
      f.part("head", head, "heads", "what is read off the last stream");
    }
  };

  ImageEncoder(Build& build, const Options& options)
      : stem_(make_stem(with_stream(build, options.width), options.stem)),
        stack_(with_stream(build, options.width),
               with_drop_path(expand_layers(options.layers, build.name("layers")), options.drop_path),
               options.norm),
        head_(stack_.make_head(build, options.head, nullptr)) {}

  Streams start(Context& ctx, const Record& in) override {
    check_fields(in, stem_->fields());
    return {{"residual", stem_->start(ctx, in)}};
  }
  void run(Context& ctx, int64_t first, int64_t last, Streams& streams) override {
    stack_.run(ctx, first, last, streams.at("residual"));
  }
  void finish(Context& ctx, const Streams& streams, Record& out) override {
    const auto& stream = streams.at("residual");
    const LayoutScope scope(ctx, stream.layout);
    head_->forward(ctx, stack_.finish(ctx, stream.x), out);
  }
  std::vector<std::string> segments() const override { return stack_.names(); }
  Split carry(SplitPass& pass, int64_t first, int64_t last, Split x) override {
    return stack_.carry(pass, first, last, std::move(x));
  }
  Split finish(SplitPass& pass, const Split& x) override { return stack_.finish(pass, *head_, x); }

 private:
  static std::unique_ptr<Stem> make_stem(const Build& build, const PartSpec& stem) {
    Build child = build.at("stem");
    return Registry<Stem>::make(child, stem);
  }

  std::unique_ptr<Stem> stem_;
  Stack stack_;
  std::unique_ptr<Head> head_;
};

FORMWORK_PART(Model, ImageEncoder, "image_encoder",
              "parts of an image that see each other: classifier, features; flat or a pyramid");

}  // namespace
}  // namespace formwork
