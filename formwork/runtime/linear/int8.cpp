// 8-bit codes and integer products, outlier columns in float (LLM.int8(), Dettmers et al., 2022). Every token
// has outliers and a scale of its own, so that it does not depend on the tokens beside it.
#include "formwork/kernels/cpu/int8.h"

#include <cmath>

#include "formwork/linear/quantized/int8_options.h"
#include "formwork/runtime/linear/matrix.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {
namespace {

class Int8Map final : public LinearMap {
 public:
  using Options = Int8Options;

  Int8Map(Scope& scope, const Need& need, const Options& options) : LinearMap(scope, need) {
    require_single("int8");
    options.check(path());
    require_supported(options);
    threshold_ = options.decomposed() ? static_cast<float>(options.threshold) : 0;
    codes_ = static_cast<const int8_t*>(scope.values("codes", {outputs(), inputs()}, Dtype::int8));
    scales_ = scope.floats("scale", {options.chosen_scheme().shared_weight ? 1 : outputs()});
    if (options.chosen_scheme().shared_weight)
      scales_ = scope.keep(std::vector<float>(static_cast<size_t>(outputs()), *scales_)).data();
    if (options.keeps_weight()) kept_ = scope.floats("weight", {outputs(), inputs()});
  }

  void rows(Pass&, const int64_t* ids, int64_t count, float* y) const override {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t c = 0; c < inputs(); ++c)
        y[i * inputs() + c] = static_cast<float>(codes_[ids[i] * inputs() + c]) * (scales_[ids[i]] / 127);
  }

 protected:
  void product(Pass& pass, int64_t rows, In x, Out y, int64_t, const float* bias) const override {
    const Arena::Frame frame(pass.arena);
    float *inliers = pass.arena.take(inputs()), *scales = pass.arena.take(1),
          *codes = pass.arena.take((inputs() + 3) / 4), *product = pass.arena.take(outputs());
    if (rows == 0) return;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < inputs(); ++i)
        inliers[r * inputs() + i] = is_outlier(x.data[r * x.stride + i]) ? 0 : x.data[r * x.stride + i];
    auto* coded = reinterpret_cast<int8_t*>(codes);
    const Int8Input in{inliers, rows, inputs()};
    int8_row_scales(in, false, scales);
    int8_quantize_rows(in, scales, coded);
    int8_linear({coded, rows, scales}, {codes_, outputs(), scales_}, inputs(), inputs(), bias, product);
    if (threshold_ > 0) add_outliers(rows, x, product);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t o = 0; o < outputs(); ++o) {
        float& to = y.data[r * y.stride + o];
        to = y.add ? to + product[r * outputs() + o] : product[r * outputs() + o];
      }
  }

 private:
  void require_supported(const Options& options) const {
    const auto scheme = options.chosen_scheme();
    if (scheme.zero_point || scheme.shared_input)
      refuse_form(path(), "scheme '{}' of 'int8' (all but 'vector' and 'absmax-row')", options.scheme);
    if (options.outlier_pool) refuse_form(path(), "'int8' with an outlier_pool");
    if (options.has_fp16_weights) refuse_form(path(), "'int8' with has_fp16_weights");
  }
  bool is_outlier(float x) const { return threshold_ > 0 && std::isfinite(x) && std::abs(x) >= threshold_; }

  float weight(int64_t o, int64_t i) const {
    if (kept_) return kept_[o * inputs() + i];
    return static_cast<float>(codes_[o * inputs() + i]) * (scales_[o] / 127);
  }
  void add_outliers(int64_t rows, In x, float* y) const {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < inputs(); ++i) {
        const float value = x.data[r * x.stride + i];
        if (!is_outlier(value)) continue;
        for (int64_t o = 0; o < outputs(); ++o) y[r * outputs() + o] += value * weight(o, i);
      }
  }

  float threshold_ = 0;
  const int8_t* codes_;
  const float *scales_, *kept_ = nullptr;
};

FORMWORK_PART(LinearMap, Int8Map, "int8", "8-bit codes and integer products, outlier columns in float");

}  // namespace
}  // namespace formwork::runtime
