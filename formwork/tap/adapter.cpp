// Bottleneck adapter (Houlsby et al., 2019): x + f(x W_down^T + b) W_up^T + c. W_up and c begin at zero, so
// the model begins unchanged.
#include "formwork/activations/activation.h"
#include "formwork/linear/linear_map.h"
#include "formwork/tap/attachment.h"

namespace formwork {
namespace {

class Adapter final : public Attachment {
 public:
  struct Options {
    int64_t width = 8;
    PartSpec activation = "gelu";
    void describe(Fields& f) {
      f.integer("width", width, "width of the bottleneck", 1, 1 << 20);
      f.part("activation", activation, "activations", "in the bottleneck");
    }
  };

  Adapter(Build& build, const Options& options) {
    Build child = build.at("activation");
    activation_ = Registry<Activation>::make(child, options.activation);
    const Axis inner = build.axis("inner", options.width, activation_->symmetry());
    LinearNeed need;
    need.role = Role::down, need.in = build.in, need.out = inner, need.bias = true;
    need.init = init::normal(0.02);
    down_ = make_linear(build, "down", need);
    need.role = Role::up, need.in = inner, need.out = build.in, need.init = init::zeros();
    up_ = make_linear(build, "up", need);
  }

  Tensor forward(Context& ctx, const Tensor& x) override {
    return x + up_->forward(ctx, activation_->forward(ctx, down_->forward(ctx, x)));
  }

 private:
  std::unique_ptr<Activation> activation_;
  std::unique_ptr<LinearMap> down_, up_;
};

FORMWORK_PART(Attachment, Adapter, "adapter", "x plus a bottleneck of x; zero at first");

}  // namespace
}  // namespace formwork
