// Reconstruction by a transformer: a linear map to a narrow stream, one block whose tokens see each other,
// and a linear map to the tokens of the target that lie where each token does,
//
//   y = shuffle(block(x V^T + c) W^T + b)        x [B, h w, C], V [width, C], W [rows columns C', width]
#include "formwork/heads/reconstructors/reconstructor.h"
#include "formwork/linear/linear_map.h"
#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

class TransformerReconstructor final : public Reconstructor {
 public:
  struct Options {
    int64_t width = 128, heads = 4, hidden = 0;
    void describe(Fields& f) {
      f.integer("width", width, "channels of the narrow stream", 1, 1 << 16);
      f.integer("heads", heads, "heads of its attention", 1, 4096);
      f.integer("hidden", hidden, "hidden width of its MLP; 0: 4 x width");
    }
  };

  TransformerReconstructor(Build& build, const Enlargement& by, const Options& options)
      : by_(by), path_(build.path()) {
    const Axis narrow = build.axis("narrow", options.width);
    LinearNeed need;
    need.in = build.in, need.out = narrow, need.input = build.input, need.bias = true;
    down_ = make_linear(build, "down", need);
    Build child = build.at("block");
    child.in = child.out = narrow, child.input = -1, child.causal = false;
    const PartSpec block("pre", {{"norm", "layer_norm"},
                                 {"mixer", {{"type", "attention"}, {"heads", options.heads}}},
                                 {"channel", {{"type", "mlp"}, {"hidden", options.hidden}}}});
    block_ = Registry<Wiring>::make(child, block);
    need.in = block_->out(), need.input = -1;
    need.out = by.rows * by.columns == 1 ? Dim(build.out) : Dim::plain(by.rows * by.columns * build.out.size);
    up_ = make_linear(build, "up", need);
  }

  Tensor forward(Context& ctx, const Tensor& x, const Layout&) override {
    auto y = down_->forward(ctx, x);
    for (const auto& step : block_->steps()) y = step.layer->forward(ctx, y);
    return shuffle_tokens(ctx, up_->forward(ctx, y), by_, path_);
  }

 private:
  Enlargement by_;
  std::string path_;
  std::unique_ptr<LinearMap> down_, up_;
  std::unique_ptr<Wiring> block_;
};

FORMWORK_PART(Reconstructor, TransformerReconstructor, "transformer",
              "a narrow block whose tokens see each other, and a pixel shuffle");

}  // namespace
}  // namespace formwork
