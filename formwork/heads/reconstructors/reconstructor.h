// Reconstructors give back what a module of a model read from what it made of it: the decoders of local
// learning (Wang et al., "Revisiting Locally Supervised Learning: an Alternative to End-to-end Training",
// 2021; "Local Learning on Transformers via Feature Reconstruction", 2022). They belong to a training run,
// not to the model.
#pragma once
#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

// How many tokens of the target lie where the module's output has one, along height and along width; 1 x 1
// for tokens that are no map.
struct Enlargement {
  int64_t rows = 1, columns = 1;
};

// Built with build.in, the axis of the module's output, and build.out, that of the target.
class Reconstructor : public Part {
 public:
  static const char* kind() { return "reconstructors"; }
  static const char* noun() { return "reconstructor"; }
  // x [B, T, in] with ctx.layout -> [B, T', out], in the order of the target's tokens.
  virtual Tensor forward(Context& ctx, const Tensor& x, const Layout& target) = 0;
};

template <>
class Registry<Reconstructor> : public Factory<Reconstructor, Build&, const Enlargement&> {};

// Height and width of a map of tokens; fails at `path` where a layout has no such map.
std::pair<int64_t, int64_t> map_sides(const Layout* layout, const std::string& path);

// Pixel shuffle (Shi et al., 2016): each token's rows * columns * D channels become as many tokens of D
// channels, x [B, h w, rows columns D] -> [B, h rows w columns, D]. Without an enlargement x itself.
Tensor shuffle_tokens(const Context& ctx, const Tensor& x, const Enlargement& by, const std::string& path);

}  // namespace formwork
