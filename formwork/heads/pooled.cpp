// Heads on a pooled row: the mean over real tokens, the first token, or the last real token.
#include "formwork/activations/activation.h"
#include "formwork/heads/head.h"
#include "formwork/heads/pool.h"
#include "formwork/linear/split_linear.h"
#include "formwork/norms/norm.h"

namespace formwork {
namespace {

Split pooled(SplitPass& pass, const Split& x, const std::string& how) {
  return {pool(pass.ctx(), x.relevant, how), pool(pass.ctx(), x.rest, how)};
}

// Classifier: logits = pool(x) W^T + b, W [classes, D]; with `hidden`, norm(f(pool(x) V^T + c)) before it,
// where f is tanh and there is no norm in BERT.
class Classifier final : public Head, public SplitFacet {
 public:
  struct Options {
    int64_t classes = 2;
    std::string pool = "mean";
    bool hidden = false, hidden_bias = true;
    PartSpec activation = "tanh", norm;
    double dropout = 0;
    void describe(Fields& f) {
      f.integer("classes", classes, "number of classes", 1);
      describe_pool(f, pool);
      f.flag("hidden", hidden, "a map and an activation before the logits");
      f.flag("hidden_bias", hidden_bias, "a bias on that map");
      f.part("activation", activation, "activations", "after that map");
      f.part("norm", norm, "norms", "after the activation", true);
      f.number("dropout", dropout, "dropout before the logits", 0, 1);
    }
  };

  Classifier(Build& build, const Options& options) : options_(options), path_(build.path()) {
    LinearNeed need;
    // What pools is linear in each channel, so a norm may fold into the first map.
    need.role = Role::head, need.in = build.in, need.input = build.input, need.init = init::normal(0.02);
    if (options.hidden) {
      const Axis hidden = build.axis("hidden", build.in.asked(), Group::permute);
      need.out = hidden, need.bias = options.hidden_bias;
      hidden_ = make_linear(build, "hidden", need);
      Build child = build.at("activation");
      activation_ = Registry<Activation>::make(child, options.activation);
      need.in = hidden, need.input = -1;
      if (options.norm) {
        Build scope = build.at("norm");
        scope.in = scope.out = hidden;
        norm_ = Registry<Norm>::make(scope, options.norm);
        need.input = norm_->output_tap();
      }
    } else if (options.norm) {
      fail("{}: norm has no effect without hidden", path_);
    }
    need.bias = true;
    need.out = build.axis("classes", options.classes, Group::none);
    map_ = make_linear(build, "classes", need);
  }
  bool per_token(const std::string&) const override { return false; }
  void forward(Context& ctx, const Tensor& x, Record& out) override {
    auto row = pool(ctx, x, options_.pool);
    if (hidden_) row = activation_->forward(ctx, hidden_->forward(ctx, row));
    if (norm_) row = norm_->forward(ctx, row);
    out["logits"] = map_->forward(ctx, ctx.dropout(path_ + ".dropout", row, options_.dropout));
  }
  Split carry(SplitPass& pass, const Split& x) override {
    auto row = pooled(pass, x, options_.pool);
    if (hidden_) row = pass.through(*activation_, path_ + ".activation", through(pass, *hidden_, row));
    if (norm_) row = pass.through(*norm_, path_ + ".norm", row);
    return through(pass, *map_, row);
  }

 private:
  Options options_;
  std::string path_;
  std::unique_ptr<LinearMap> hidden_, map_;
  std::unique_ptr<Activation> activation_;
  std::unique_ptr<Norm> norm_;
};

// Embedder: pool(x), scaled to unit length unless told otherwise (Reimers and Gurevych, 2019).
class Embedder final : public Head, public SplitFacet {
 public:
  struct Options {
    std::string pool = "mean";
    bool normalize = true;
    void describe(Fields& f) {
      describe_pool(f, pool);
      f.flag("normalize", normalize, "scale to unit length");
    }
  };
  Embedder(Build& build, const Options& options) : options_(options) { build.reads_input_directly(); }
  bool per_token(const std::string&) const override { return false; }
  void forward(Context& ctx, const Tensor& x, Record& out) override {
    auto row = pool(ctx, x, options_.pool);
    out["embedding"] = options_.normalize ? row / length(row) : row;
  }
  // Both sides by the length of the whole, as a norm.
  Split carry(SplitPass& pass, const Split& x) override {
    const auto row = pooled(pass, x, options_.pool);
    return options_.normalize ? row * length(row.whole()).reciprocal() : row;
  }

 private:
  static Tensor length(const Tensor& row) { return row.norm(2, -1, true).clamp_min(1e-12); }
  Options options_;
};

// Hands on the last hidden state.
class HiddenState final : public Head, public SplitFacet {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  HiddenState(Build& build, const Options&) { build.reads_input_directly(); }
  void forward(Context&, const Tensor& x, Record& out) override { out["last_hidden_state"] = x; }
  Split carry(SplitPass&, const Split& x) override { return x; }
};

FORMWORK_PART(Head, Classifier, "classifier", "class logits of a pooled row");
FORMWORK_PART(Head, Embedder, "embedder", "a unit vector for each row");
FORMWORK_PART(Head, HiddenState, "hidden", "the last hidden state of each token");

}  // namespace
}  // namespace formwork
