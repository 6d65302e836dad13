// Pooler (Devlin et al., "BERT", 2018): the last hidden state of each token, and beside it a vector for each
// row,
//
//   pooler_output = f(pool(x) W^T + b)        x [B, T, D], W [width, D]
//
// where pool is the first token and f is tanh in BERT; without the map it is pool(x) itself (Swin: the mean).
#include "formwork/activations/activation.h"
#include "formwork/heads/head.h"
#include "formwork/heads/pool.h"
#include "formwork/linear/linear_map.h"

namespace formwork {
namespace {

class Pooler final : public Head {
 public:
  struct Options {
    std::string pool = "first";
    bool hidden = true;
    int64_t width = 0;
    PartSpec activation = "tanh";
    void describe(Fields& f) {
      describe_pool(f, pool);
      f.flag("hidden", hidden, "a map and an activation on the pooled row");
      f.integer("width", width, "channels of that map; 0: those of the stream", 0, 1 << 20);
      f.part("activation", activation, "activations", "after that map");
    }
  };

  Pooler(Build& build, const Options& options) : options_(options) {
    build.reads_input_directly();
    if (!options.hidden) return;
    LinearNeed need;
    need.role = Role::head, need.in = build.in, need.bias = true, need.init = init::normal(0.02);
    need.out = build.axis("width", options.width ? options.width : build.in.asked(), Group::none);
    map_ = make_linear(build, "hidden", need);
    Build child = build.at("activation");
    activation_ = Registry<Activation>::make(child, options.activation);
  }
  bool per_token(const std::string& field) const override { return field != kRow; }
  void forward(Context& ctx, const Tensor& x, Record& out) override {
    out["last_hidden_state"] = x;
    const auto row = pool(ctx, x, options_.pool);
    out[kRow] = map_ ? activation_->forward(ctx, map_->forward(ctx, row)) : row;
  }

 private:
  static constexpr const char* kRow = "pooler_output";
  Options options_;
  std::unique_ptr<LinearMap> map_;
  std::unique_ptr<Activation> activation_;
};

FORMWORK_PART(Head, Pooler, "pooler", "the last hidden state of each token, and a vector for the row");

}  // namespace
}  // namespace formwork
