#include "formwork/linear/quantized/int8_codes.h"

#include "formwork/kernels/cpu/int8.h"

namespace formwork {
namespace {

void check_finite(const Tensor& weight, const std::string& where) {
  const auto bad = weight.isfinite().all(-1).logical_not().nonzero();
  if (bad.numel())
    fail("{}: row {} of the weight has an entry that is not finite", where, bad[0][0].item<int64_t>());
}

}  // namespace

Int8Codes int8_codes(const Tensor& weight, const Int8Scheme& scheme, const std::string& where) {
  const auto w = weight.detach().to(at::kCPU, at::kFloat).contiguous();
  const int64_t rows = w.size(0);
  Int8Codes made{at::empty(w.sizes(), at::kChar), at::empty({rows}, at::kFloat), {}};
  const Int8Input in{w.const_data_ptr<float>(), rows, w.size(1)};
  float* scales = made.scale.mutable_data_ptr<float>();
  if (scheme.zero_point) {
    made.zero = at::empty({rows}, at::kFloat);
    float* zeros = made.zero.mutable_data_ptr<float>();
    int8_row_ranges(in, scheme.shared_weight, scales, zeros);
    int8_quantize_ranges(in, scales, zeros, made.codes.mutable_data_ptr<int8_t>());
  } else {
    int8_row_scales(in, scheme.shared_weight, scales);
    int8_quantize_rows(in, scales, made.codes.mutable_data_ptr<int8_t>());
  }
  if (!made.scale.isfinite().all().item<bool>()) check_finite(w, where);
  made.scale = at::where(made.scale == 0, at::ones_like(made.scale), made.scale);
  if (scheme.shared_weight) {
    made.scale = made.scale.narrow(0, 0, 1).clone();
    if (made.zero.defined()) made.zero = made.zero.narrow(0, 0, 1).clone();
  }
  return made;
}

Tensor int8_dequantize(const Int8Codes& weight) {
  auto value = weight.codes.to(weight.scale.scalar_type());
  if (weight.zero.defined()) value = value + weight.zero.unsqueeze(1);
  return value * (weight.scale / 127).unsqueeze(1);
}

Tensor int8_rounded_to_half(const Tensor& weight) { return weight.detach().to(at::kHalf).to(at::kFloat); }

std::map<std::string, Tensor> int8_tensors(const Tensor& weight, const Int8Options& options,
                                           const std::string& where) {
  if (options.has_fp16_weights) {
    check_finite(int8_rounded_to_half(weight), where);
    return {{"weight", weight.detach()}};
  }
  const auto made = int8_codes(weight, options.chosen_scheme(), where);
  std::map<std::string, Tensor> tensors = {{"codes", made.codes}, {"scale", made.scale}};
  if (made.zero.defined()) tensors["zero"] = made.zero;
  if (options.keeps_weight()) {
    tensors["weight"] = weight.detach().to(at::kHalf);
    check_finite(tensors["weight"], where);
  }
  return tensors;
}

}  // namespace formwork
