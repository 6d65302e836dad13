// Linear stem: tokens that are vectors of numbers, x_t = W f_t + b, f [B, T, F], W [D, F].
#include "formwork/linear/linear_map.h"
#include "formwork/stems/stem.h"

namespace formwork {

Stream TokenwiseStem::start(Context& ctx, const Record& in) {
  const auto found = in.find(field());
  if (found == in.end()) fail("input '{}' is missing", field());
  return {embed(ctx, found->second), {}, nullptr};
}

namespace {

class LinearStem final : public TokenwiseStem {
 public:
  struct Options {
    int64_t features = 1;
    bool bias = true;
    void describe(Fields& f) {
      f.integer("features", features, "numbers of a token", 1, 1 << 20);
      f.flag("bias", bias, "bias on the map");
    }
  };

  LinearStem(Build& build, const Options& options) : features_(options.features) {
    LinearNeed need;
    // What a feature means is the caller's, so nothing may change the axis.
    need.in = build.global_axis("features", options.features, Group::none), need.out = build.out;
    need.bias = options.bias;
    projection_ = make_linear(build, "projection", need);
  }

  std::string field() const override { return "input_features"; }

  Tensor embed(Context& ctx, const Tensor& tokens) override {
    if (tokens.dim() != 3 || tokens.size(2) != features_ || !tokens.is_floating_point())
      fail("input '{}': expected [B, T, {}] of floating-point numbers, found [{}] of {}", field(), features_,
           fmt::join(tokens.sizes().vec(), ", "), c10::toString(tokens.scalar_type()));
    return projection_->forward(ctx, tokens);
  }

 private:
  int64_t features_;
  std::unique_ptr<LinearMap> projection_;
};

FORMWORK_PART(Stem, LinearStem, "linear", "tokens that are vectors of numbers, through a linear map");

}  // namespace
}  // namespace formwork
