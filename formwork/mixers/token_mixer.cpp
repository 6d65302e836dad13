#include "formwork/mixers/token_mixer.h"

namespace formwork {

FORMWORK_KIND(TokenMixer);

namespace {

// Mixes along one token dimension; the others become batch.
class Along final : public TokenMixer {
 public:
  Along(std::string dim, std::unique_ptr<TokenMixer> inner)
      : dim_(std::move(dim)), inner_(std::move(inner)) {}
  Traits traits() const override {
    auto traits = inner_->traits();
    traits.trees = false;
    return traits;
  }

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override {
    static const Layout none;
    const auto& dims = ctx.layout ? ctx.layout->dims : none.dims;
    std::vector<int64_t> shape = {x.size(0)};
    int64_t found = -1;
    std::string names;
    for (const auto& dim : dims) {
      if (dim.name == dim_) found = static_cast<int64_t>(shape.size());
      names += (names.empty() ? "" : ", ") + dim.name;
      shape.push_back(dim.size);
    }
    if (found < 0)
      fail("mixer along '{}': the stream's token dimensions are: {}", dim_, names.empty() ? "time" : names);
    if (ctx.layout->lengths.defined())
      fail("mixer along '{}': rows of unequal lengths cannot be cut that way", dim_);
    shape.push_back(x.size(2));
    const auto moved = x.reshape(shape).movedim(found, -2);
    Layout layout;
    layout.dims = {{dim_, moved.size(-2)}};
    const LayoutScope scope(ctx, layout);
    const auto y = inner_->forward(ctx, moved.reshape({-1, moved.size(-2), x.size(2)}));
    auto back = moved.sizes().vec();
    back.back() = y.size(2);
    return y.reshape(back).movedim(-2, found).reshape({x.size(0), x.size(1), y.size(2)});
  }

 private:
  std::string dim_;
  std::unique_ptr<TokenMixer> inner_;
};

}  // namespace

Tensor TokenMixer::forward(Context& ctx, const Tensor& x) {
  return ctx.layout && ctx.layout->packed() ? mix_packed(ctx, x) : mix(ctx, x);
}

Tensor TokenMixer::mix_packed(Context& ctx, const Tensor& x) {
  const auto& offsets = ctx.layout->offsets;
  std::vector<Tensor> rows;
  std::vector<int64_t> lengths;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    lengths.push_back(offsets[s + 1] - offsets[s]);
    rows.push_back(x[0].narrow(0, offsets[s], lengths.back()));
  }
  Layout layout;
  layout.lengths = at::tensor(lengths, at::kLong);
  const LayoutScope scope(ctx, layout);
  const auto y = mix(ctx, at::pad_sequence(rows, /*batch_first=*/true));
  std::vector<Tensor> parts;
  for (size_t s = 0; s < lengths.size(); ++s)
    parts.push_back(y[static_cast<int64_t>(s)].narrow(0, 0, lengths[s]));
  return at::cat(parts, 0).unsqueeze(0);
}

std::unique_ptr<TokenMixer> make_mixer(Build& build, const PartSpec& spec) {
  PartSpec inner = spec;
  std::string along;
  if (const auto it = inner.options.find("along"); it != inner.options.end()) {
    if (!it->is_string())
      fail("{}: option 'along' must name a token dimension, found {}", build.path(), it->dump());
    along = it->get<std::string>();
    inner.options.erase("along");
  }
  auto mixer = Registry<TokenMixer>::make(build, inner);
  if (along.empty()) return mixer;
  return std::make_unique<Along>(along, std::move(mixer));
}

}  // namespace formwork
