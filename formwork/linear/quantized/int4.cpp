// 4-bit linear map: y = x W^T + b with codes of half a byte, multiplied as they are stored in float
// inference and by the dequantized matrix otherwise. Source of the format: GPTQ (Frantar et al., 2022).
#include "formwork/linear/quantized/int4.h"

#include "formwork/kernels/cpu/int4.h"
#include "formwork/linear/map_options.h"
#include "formwork/linear/split_linear.h"
#include "formwork/linear/stored.h"

namespace formwork {

Int4Grid int4_grid(const Tensor& w, bool symmetric) {
  const auto wide = w.to(at::kFloat);
  const auto low = wide.amin(-1).clamp_max(0), high = wide.amax(-1).clamp_min(0);
  const auto step = symmetric ? at::maximum(-low, high) / 7 : (high - low) / 15;
  const auto scale = at::where(step > 0, step, at::ones_like(step));
  return {scale, symmetric ? at::full_like(scale, 8) : (-low / scale).round().clamp(0, 15)};
}

Tensor int4_codes(const Tensor& w, const Int4Grid& grid) {
  return ((w / grid.scale.unsqueeze(-1)).round() + grid.zero.unsqueeze(-1)).clamp(0, 15).to(at::kByte);
}

Tensor int4_value(const Tensor& codes, const Int4Grid& grid) {
  return (codes.to(at::kFloat) - grid.zero.unsqueeze(-1)) * grid.scale.unsqueeze(-1);
}

namespace {

int64_t groups_of(int64_t in, int64_t group) { return (in + group - 1) / group; }

void check_group(int64_t group, const std::string& where) {
  if (group < 8 || group % 8 != 0)
    fail("{}: expected a group that is a multiple of 8, found {}", where, group);
}

// [out, in] -> [out, groups, group], zeros behind a short group: they change no grid.
Tensor in_groups(const Tensor& x, int64_t group) {
  const int64_t in = x.size(1), missing = groups_of(in, group) * group - in;
  return (missing ? at::constant_pad_nd(x, {0, missing}) : x).unflatten(1, {-1, group});
}

// Codes as stored -> [out, in].
Tensor unpacked(const Tensor& codes, int64_t in) {
  return at::stack({codes.bitwise_and(15), codes.bitwise_right_shift(4)}, -1).flatten(1).narrow(1, 0, in);
}

}  // namespace

Tensor Int4Matrix::value() const {
  return int4_value(in_groups(codes, group), grid).flatten(1).narrow(1, 0, codes.size(1));
}

std::map<std::string, Tensor> Int4Matrix::tensors() const {
  const int64_t in = codes.size(1);
  const auto pairs = (in % 2 ? at::constant_pad_nd(codes, {0, 1}) : codes).unflatten(1, {-1, 2});
  const auto packed = pairs.select(-1, 0).bitwise_or(pairs.select(-1, 1).bitwise_left_shift(4));
  return {{"codes", (in % group ? packed : packed.unflatten(1, {-1, group / 2})).contiguous()},
          {"scale", grid.scale.to(at::kFloat).contiguous()},
          {"zero", grid.zero.to(at::kByte).contiguous()}};
}

namespace {

// From here on dequantizing a row of W is cheap beside the products that it takes part in.
constexpr int64_t kManyRows = 16;

// y [rows, out] = x W^T + bias, through float matrices that fit the second cache.
void multiply_in_parts(const Tensor& x, const Int4Weight& weight, const Tensor& bias, Tensor& y) {
  const int64_t part = std::max<int64_t>(16, (256 << 10) / weight.inputs);
  auto values = at::empty({std::min(part, weight.outputs), weight.inputs}, at::kFloat);
  for (int64_t first = 0; first < weight.outputs; first += part) {
    const int64_t count = std::min(part, weight.outputs - first);
    int4_dequantize(weight, first, count, values.mutable_data_ptr<float>());
    y.narrow(1, first, count)
        .copy_(
            at::linear(x, values.narrow(0, 0, count), bias.defined() ? bias.narrow(0, first, count) : bias));
  }
}

class Int4Linear final : public SplitLinear {
 public:
  using Options = Int4Options;

  Int4Linear(Build& build, const LinearNeed& need, const Options& options)
      : SplitLinear(build, need), group_(options.group) {
    require_single(build, need, "int4");
    check_group(group_, build.path());
    Dim out = need.out, groups = need.in, pairs = need.in;
    out.writes = true;
    groups.grain = group_;
    pairs.grain = 2;
    codes_ = own(build.param(
        "codes",
        in() % group_ ? std::vector<Dim>{out, pairs} : std::vector<Dim>{out, groups, Dim::plain(group_ / 2)},
        stored_rule(at::kByte)));
    scale_ = own(build.param("scale", {out, groups}, stored_rule(at::kFloat)));
    zero_ = own(build.param("zero", {out, groups}, stored_rule(at::kByte)));
    for (const auto& dim : {need.out, need.in})
      restrict_axes(build, dim, Group::permute, "4-bit codes of whole groups cannot be mixed or rescaled");
    if (const auto weight = initial_weight(build, need); weight.defined())
      begin_with(build, int4_round(weight, group_, false).tensors());
  }

  Traits traits() const override {
    Traits traits;
    traits.trainable = false;
    return traits;
  }
  Tensor dense(Context& ctx) override {
    const Int4Grid grid{ctx.value(*scale_), ctx.value(*zero_).to(at::kFloat)};
    return Int4Matrix{unpacked(ctx.value(*codes_), in()), grid, group_}.value();
  }
  double flops() const override { return 2.0 * static_cast<double>(in()) * static_cast<double>(out()); }
  std::string type() const override { return "int4"; }
  Tensor transposed(Context& ctx, const Tensor& y) override {
    return y.matmul(dense(ctx).to(y.scalar_type()));
  }

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
    const auto codes = ctx.value(*codes_).contiguous(), zero = ctx.value(*zero_).contiguous(),
               scale = ctx.value(*scale_).to(at::kFloat).contiguous();
    const Int4Weight weight{out(),
                            in(),
                            group_,
                            codes.const_data_ptr<uint8_t>(),
                            scale.const_data_ptr<float>(),
                            zero.const_data_ptr<uint8_t>()};
    const auto b = bias.defined() ? bias.to(at::kFloat).contiguous() : Tensor();
    auto y = at::empty({flat.size(0), out()}, at::kFloat);
    if (flat.size(0) >= kManyRows)
      multiply_in_parts(flat, weight, b, y);
    else
      int4_linear(flat.const_data_ptr<float>(), flat.size(0), in(), weight,
                  b.defined() ? b.const_data_ptr<float>() : nullptr, y.mutable_data_ptr<float>());
    return y.view(sizes);
  }

 private:
  int64_t group_;
  Param *codes_, *scale_, *zero_;
};

FORMWORK_PART(LinearMap, Int4Linear, "int4", "4-bit codes with a scale and a zero for each group of inputs");

}  // namespace

Int4Matrix int4_round(const Tensor& weight, int64_t group, bool symmetric) {
  check_group(group, "int4");
  const auto w = in_groups(weight.detach().to(at::kFloat), group);
  const auto grid = int4_grid(w, symmetric);
  return {int4_codes(w, grid).flatten(1).narrow(1, 0, weight.size(1)), grid, group};
}

}  // namespace formwork
