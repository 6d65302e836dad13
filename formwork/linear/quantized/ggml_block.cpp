// Linear map in ggml's block formats: y = x W^T + b. Float inference multiplies the blocks as they are
// stored, which may be a mapped file's own bytes, with x rounded to 8-bit codes where the format is
// quantized; anything else takes the decoded matrix. Source: the formats of ggml and GGUF (Gerganov et al.,
// 2023).
#include "formwork/linear/quantized/ggml_block.h"

#include "formwork/linear/map_options.h"
#include "formwork/linear/stored.h"

namespace formwork {

const GgmlLayout& require_ggml_layout(const std::string& name, const std::string& where) {
  if (const auto* layout = find_ggml_layout(name)) return *layout;
  std::vector<std::string> names;
  for (const auto& layout : ggml_layouts()) names.emplace_back(layout.name);
  fail_unknown(where + ": format", name, names);
}

namespace {

GgmlMatrix raw(GgmlType type, const Tensor& blocks, int64_t in) {
  return {type, blocks.size(0), in, blocks.const_data_ptr<uint8_t>()};
}

class GgmlBlockLinear final : public LinearMap {
 public:
  using Options = GgmlBlockOptions;

  GgmlBlockLinear(Build& build, const LinearNeed& need, const Options& options)
      : LinearMap(build, need), layout_(require_ggml_layout(options.format, build.path())) {
    require_single(build, need, "ggml_block");
    Dim out = need.out, blocks = need.in;
    out.writes = true;
    blocks.grain = layout_.values;
    blocks_ = own(build.param("blocks", {out, blocks, Dim::plain(layout_.bytes)}, stored_rule(at::kByte)));
    for (const auto& dim : {need.out, need.in})
      restrict_axes(build, dim, Group::permute, "blocks of codes cannot be mixed or rescaled");
    if (const auto weight = initial_weight(build, need); weight.defined())
      begin_with(build, {{"blocks", ggml_blocks(layout_.type, weight)}});
  }

  Traits traits() const override {
    Traits traits;
    traits.trainable = false;
    // Floating formats are decoded exactly; products of the others are of 8-bit codes of the inputs.
    traits.float64 = layout_.values == 1;
    return traits;
  }
  Tensor dense(Context& ctx) override { return ggml_values(layout_.type, ctx.value(*blocks_), in()); }
  Tensor rows(Context& ctx, const Tensor& ids) override {
    auto sizes = ids.sizes().vec();
    sizes.push_back(in());
    const auto chosen = ctx.value(*blocks_).index_select(0, ids.flatten());
    return ggml_values(layout_.type, chosen, in()).view(sizes);
  }
  Tensor transposed(Context& ctx, const Tensor& y) override {
    return y.matmul(dense(ctx).to(y.scalar_type()));
  }
  double flops() const override { return 2.0 * static_cast<double>(in()) * static_cast<double>(out()); }
  std::string type() const override { return "ggml_block"; }
  const GgmlLayout& layout() const { return layout_; }

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t) override {
    const auto bias = bias_value(ctx, -1);
    const bool differentiated =
        at::GradMode::is_enabled() && (x.requires_grad() || (bias.defined() && bias.requires_grad()));
    if (!x.is_cpu() || x.scalar_type() != at::kFloat || differentiated)
      return at::linear(x, dense(ctx).to(x.scalar_type()), bias);
    if (x.dim() == 0 || x.size(-1) != in())
      fail("{}: expected inputs of width {}, found [{}]", path(), in(), fmt::join(x.sizes(), ", "));
    auto sizes = x.sizes().vec();
    sizes.back() = out();
    const auto flat = x.reshape({-1, in()}).contiguous();
    const auto blocks = ctx.value(*blocks_).contiguous();
    const auto b = bias.defined() ? bias.to(at::kFloat).contiguous() : Tensor();
    auto y = at::empty({flat.size(0), out()}, at::kFloat);
    const auto w = raw(layout_.type, blocks, in());
    auto work = at::empty({flat.size(0), ggml_work(w)}, at::kFloat);
    ggml_linear(flat.const_data_ptr<float>(), flat.size(0), in(), w,
                b.defined() ? b.const_data_ptr<float>() : nullptr, y.mutable_data_ptr<float>(),
                work.mutable_data_ptr<float>());
    return y.view(sizes);
  }

 private:
  GgmlLayout layout_;
  Param* blocks_;
};

FORMWORK_PART(LinearMap, GgmlBlockLinear, "ggml_block",
              "one of ggml's block formats, multiplied as it is stored in a GGUF file");

}  // namespace

const GgmlLayout* ggml_format(const LinearMap& map) {
  const auto* kept = dynamic_cast<const GgmlBlockLinear*>(&map);
  return kept ? find_ggml_layout(kept->layout().name) : nullptr;
}

Tensor ggml_blocks(GgmlType type, const Tensor& weight) {
  const auto values = weight.detach().to(at::kCPU, at::kFloat).contiguous();
  if (!values.isfinite().all().item<bool>())
    fail("{}: expected finite values, found others", ggml_layout(type).name);
  const GgmlMatrix shape{type, values.size(0), values.size(1)};
  auto blocks = at::empty({shape.outputs, shape.row_blocks(), ggml_layout(type).bytes}, at::kByte);
  ggml_encode(type, values.const_data_ptr<float>(), shape.outputs, shape.inputs,
              blocks.mutable_data_ptr<uint8_t>());
  return blocks;
}

Tensor ggml_values(GgmlType type, const Tensor& blocks, int64_t in) {
  const auto stored = blocks.contiguous();
  auto values = at::empty({stored.size(0), in}, at::kFloat);
  ggml_decode(raw(type, stored, in), 0, stored.size(0), values.mutable_data_ptr<float>());
  return values;
}

}  // namespace formwork
