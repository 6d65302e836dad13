// Linformer: Self-Attention with Linear Complexity (Wang et al., 2020). Keys and values are projected along
// tokens, from T to k rows, so that attention costs O(T k d) rather than O(T^2 d):
//
//   y_h = softmax(Q_h (E K_h)^T / sqrt(d)) (F V_h)      x [B, T, D], Q_h, K_h, V_h [B, T, d], E, F [k, T_max]
//
// A row of T tokens meets the first T columns of E and F; more than T_max tokens are an error. Padded keys
// and values become zero before they are projected, since no mask can follow. The projection mixes the
// future, so causal models refuse it.
//
// `sharing` (section 4 of the paper): none: E and F for each head; headwise: one E and one F for all heads;
// key_value: E = F; layerwise: the same E = F, "linformer.project", in every layer of the model.
#include "formwork/linear/linear_map.h"
#include "formwork/mixers/token_mixer.h"

namespace formwork {
namespace {

class Linformer final : public TokenMixer, public CostFacet {
 public:
  struct Options {
    int64_t heads = 4, head_width = 0, k = 256, tokens = 512;
    std::string sharing = "layerwise";
    bool bias = false, out_bias = false;
    double dropout = 0;
    void describe(Fields& f) {
      f.integer("heads", heads, "heads", 1, 4096);
      f.integer("head_width", head_width, "channels of a head; 0: width / heads", 0, 65536);
      f.integer("k", k, "rows that keys and values are projected to", 1, 1 << 20);
      f.integer("tokens", tokens, "most tokens of a row", 1, 1 << 24);
      f.choice("sharing", sharing, {"none", "headwise", "key_value", "layerwise"},
               "what shares a projection along tokens");
      f.flag("bias", bias, "bias on queries, keys and values");
      f.flag("out_bias", out_bias, "bias on the output");
      f.number("dropout", dropout, "dropout on the weights", 0, 1);
    }
  };

  Linformer(Build& build, const Options& options) : options_(options), path_(build.path()) {
    if (!options.head_width && build.in.asked() % options.heads)
      fail("{}: width {} is not divisible by {} heads; choose heads or head_width", path_, build.in.asked(),
           options.heads);
    const int64_t width = options.head_width ? options.head_width : build.in.asked() / options.heads;
    const Axis heads = build.axis("heads", options.heads, Group::permute);
    const Axis qk = build.axis("qk_width", width, Group::orthogonal), vo = build.axis("v_width", width);
    heads_ = heads.size, width_ = qk.size, value_width_ = vo.size;
    scale_ = 1 / std::sqrt(static_cast<double>(width));
    make_maps(build, heads, qk, vo);
    make_projections(build, heads);
    weights_tap_ = build.tap("weights");
  }

  Traits traits() const override {
    Traits traits;
    traits.length_free = false;
    return traits;
  }
  // Projecting keys and values, scores and weighted values; the maps count themselves.
  double flops_per_token(int64_t) const override {
    return 4.0 * static_cast<double>(k_ * heads_ * (width_ + value_width_));
  }

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override {
    const int64_t tokens = x.size(1);
    if (tokens > options_.tokens)
      fail("{}: a row of {} tokens is longer than the {} that the projection was made for", path_, tokens,
           options_.tokens);
    const auto q = query_->forward(ctx, x).unflatten(-1, {heads_, width_}).transpose(1, 2);
    const auto k = projected(ctx, *e_, real(ctx, key_->forward(ctx, x)), width_);
    const auto v = projected(ctx, *f_, real(ctx, value_->forward(ctx, x)), value_width_);
    auto weights = (q.matmul(k.transpose(-1, -2)) * scale_).softmax(-1);  // [B, H, T, k]
    weights = ctx.dropout(path_ + ".dropout", ctx.tap(weights_tap_, weights), options_.dropout);
    return out_->forward(ctx, weights.matmul(v).transpose(1, 2).flatten(2));
  }

 private:
  void make_maps(Build& build, const Axis& heads, const Axis& qk, const Axis& vo) {
    const auto map = [&](const char* name, Role role, const Axis& width) {
      LinearNeed need;
      need.role = role, need.in = build.in, need.out = Dim::product({heads, width});
      need.bias = options_.bias, need.input = build.input, need.init = init::normal(0.02);
      return make_linear(build, name, need);
    };
    query_ = map("query", Role::query, qk);
    key_ = map("key", Role::key, qk);
    value_ = map("value", Role::value, vo);
    LinearNeed out;
    out.role = Role::out, out.in = Dim::product({heads, vo}), out.out = build.out;
    out.bias = options_.out_bias;
    out.init = init::normal(0.02 / std::sqrt(2.0 * static_cast<double>(build.depth)));
    out_ = make_linear(build, "out", out);
  }

  void make_projections(Build& build, const Axis& heads) {
    Rule rule;
    rule.init = init::uniform(1 / std::sqrt(static_cast<double>(options_.tokens)));
    const Dim tokens = Dim::plain(options_.tokens);
    const bool layerwise = options_.sharing == "layerwise";
    const Axis rows = layerwise ? build.global_axis("linformer.k", options_.k, Group::permute)
                                : build.axis("k", options_.k, Group::permute);
    build.restrict(rows, Group::permute, "each projected key has a weight of its own");
    k_ = rows.size;
    if (layerwise) {
      e_ = f_ = shared_projection(build, {rows, tokens}, rule);
      return;
    }
    per_head_ = options_.sharing == "none";
    const auto dims = per_head_ ? std::vector<Dim>{heads, rows, tokens} : std::vector<Dim>{rows, tokens};
    e_ = build.param("E", dims, rule);
    f_ = options_.sharing == "key_value" ? e_ : build.param("F", dims, rule);
  }

  // The first mixer of the model makes it, the others find it.
  Param* shared_projection(const Build& build, const std::vector<Dim>& dims, const Rule& rule) const {
    const std::string name = "linformer.project";
    const auto& known = build.inventory().by_name;
    const auto found = known.find(name);
    if (found == known.end()) return Build(build.inventory(), "", {}, {}).param(name, dims, rule);
    if (found->second->dims[1].size() != options_.tokens)
      fail("{}: shares a projection of {} tokens with another layer, but asks for {}", path_,
           found->second->dims[1].size(), options_.tokens);
    return found->second;
  }

  static Tensor real(const Context& ctx, const Tensor& x) {
    const auto keep = ctx.layout ? ctx.layout->keep(x.size(1)) : Tensor();
    return keep.defined() ? x.masked_fill(keep.logical_not().unsqueeze(-1), 0) : x;
  }

  // x [B, T, H * width] -> [B, H, k, width].
  Tensor projected(Context& ctx, const Param& projection, const Tensor& x, int64_t width) const {
    const auto columns = ctx.value(projection).narrow(-1, 0, x.size(1));
    if (per_head_) return columns.matmul(x.unflatten(-1, {heads_, width}).transpose(1, 2));
    return columns.matmul(x).unflatten(-1, {heads_, width}).transpose(1, 2);
  }

  Options options_;
  std::string path_;
  int64_t heads_, width_, value_width_, k_;
  double scale_;
  bool per_head_ = false;
  std::unique_ptr<LinearMap> query_, key_, value_, out_;
  Param *e_, *f_;
  Slot weights_tap_;
};

FORMWORK_PART(TokenMixer, Linformer, "linformer", "attention over keys and values projected along tokens");

}  // namespace
}  // namespace formwork
