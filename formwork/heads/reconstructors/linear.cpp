// Linear reconstruction: each token is mapped to the tokens of the target that lie where it does,
//
//   y = shuffle(x W^T + b)        x [B, h w, C], W [rows columns C', C], y [B, h rows w columns, C']
#include "formwork/heads/reconstructors/reconstructor.h"
#include "formwork/linear/linear_map.h"

namespace formwork {
namespace {

class LinearReconstructor final : public Reconstructor {
 public:
  struct Options {
    void describe(Fields&) {}
  };

  LinearReconstructor(Build& build, const Enlargement& by, const Options&) : by_(by), path_(build.path()) {
    LinearNeed need;
    need.in = build.in, need.input = build.input, need.bias = true;
    need.out = by.rows * by.columns == 1 ? Dim(build.out) : Dim::plain(by.rows * by.columns * build.out.size);
    map_ = make_linear(build, "map", need);
  }
  Traits traits() const override {
    Traits traits;
    traits.causal = true;  // each token alone
    return traits;
  }
  Tensor forward(Context& ctx, const Tensor& x, const Layout&) override {
    return shuffle_tokens(ctx, map_->forward(ctx, x), by_, path_);
  }

 private:
  Enlargement by_;
  std::string path_;
  std::unique_ptr<LinearMap> map_;
};

FORMWORK_PART(Reconstructor, LinearReconstructor, "linear",
              "a linear map of each token, and a pixel shuffle");

}  // namespace
}  // namespace formwork
