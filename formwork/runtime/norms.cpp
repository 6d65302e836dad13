// The norms of formwork/norms, by the same names.
#include <algorithm>
#include <cmath>

#include "formwork/kernels/cpu/norm.h"
#include "formwork/norms/norm_options.h"
#include "formwork/runtime/part.h"

namespace formwork::runtime {
namespace {

class RmsNormPart final : public Norm {
 public:
  using Options = RmsNormOptions;
  RmsNormPart(Scope& scope, const Options& options)
      : width_(scope.in.size), asked_(scope.in.asked()), eps_(static_cast<float>(options.eps)) {
    if (!options.gain) return;
    gain_ = scope.floats("weight", {width_});
    if (options.offset == 0) return;
    auto& gains = scope.keep({gain_, gain_ + width_});
    for (auto& gain : gains) gain += static_cast<float>(options.offset);
    gain_ = gains.data();
  }
  void run(int64_t rows, const float* x, float* y, float* spare) const override {
    rms_norm_forward<float>({rows, width_, static_cast<float>(asked_), eps_, gain_}, x, y, spare);
  }

 private:
  int64_t width_, asked_;
  float eps_;
  const float* gain_ = nullptr;
};

class LayerNormPart final : public Norm {
 public:
  using Options = LayerNormOptions;
  LayerNormPart(Scope& scope, const Options& options)
      : width_(scope.in.size), asked_(scope.in.asked()), eps_(static_cast<float>(options.eps)) {
    if (options.gain) gain_ = scope.floats("weight", {width_});
    if (options.bias) bias_ = scope.floats("bias", {width_});
  }
  // A channel that was cut counts as a zero, in the mean and in the deviation from it.
  void run(int64_t rows, const float* x, float* y, float*) const override {
    for (int64_t r = 0; r < rows; ++r, x += width_, y += width_) {
      double sum = 0, squares = 0;
      for (int64_t i = 0; i < width_; ++i) sum += x[i];
      const auto width = static_cast<double>(asked_);
      const double mean = sum / width;
      for (int64_t i = 0; i < width_; ++i) squares += (x[i] - mean) * (x[i] - mean);
      const double gone = mean * mean * static_cast<double>(asked_ - width_);
      const auto scale = static_cast<float>(1 / std::sqrt((squares + gone) / width + eps_));
      const auto centre = static_cast<float>(mean);
      for (int64_t i = 0; i < width_; ++i)
        y[i] = (x[i] - centre) * scale * (gain_ ? gain_[i] : 1) + (bias_ ? bias_[i] : 0);
    }
  }

 private:
  int64_t width_, asked_;
  double eps_;
  const float *gain_ = nullptr, *bias_ = nullptr;
};

// Running averages, as outside training.
class BatchNormPart final : public Norm {
 public:
  using Options = BatchNormOptions;
  BatchNormPart(Scope& scope, const Options& options) : width_(scope.in.size) {
    const float *gain = options.gain ? scope.floats("weight", {width_}) : nullptr,
                *bias = options.bias ? scope.floats("bias", {width_}) : nullptr,
                *mean = scope.floats("running_mean", {width_}),
                *variance = scope.floats("running_var", {width_});
    auto& scale = scope.keep(std::vector<float>(static_cast<size_t>(width_)));
    auto& shift = scope.keep(std::vector<float>(static_cast<size_t>(width_)));
    for (int64_t i = 0; i < width_; ++i) {
      scale[i] = (gain ? gain[i] : 1) / std::sqrt(variance[i] + static_cast<float>(options.eps));
      shift[i] = (bias ? bias[i] : 0) - mean[i] * scale[i];
    }
    scale_ = scale.data(), shift_ = shift.data();
  }
  void run(int64_t rows, const float* x, float* y, float*) const override {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < width_; ++i) y[r * width_ + i] = x[r * width_ + i] * scale_[i] + shift_[i];
  }

 private:
  int64_t width_;
  const float *scale_, *shift_;
};

class IdentityPart final : public Norm {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  IdentityPart(Scope& scope, const Options&) : width_(scope.in.size) {}
  void run(int64_t rows, const float* x, float* y, float*) const override {
    if (x != y) std::copy_n(x, rows * width_, y);
  }

 private:
  int64_t width_;
};

FORMWORK_PART(Norm, RmsNormPart, "rms_norm", "divide by the root mean square, then a gain");
FORMWORK_PART(Norm, LayerNormPart, "layer_norm", "subtract the mean, divide by the deviation, gain and bias");
FORMWORK_PART(Norm, BatchNormPart, "batch_norm", "each channel by its running mean and deviation");

FORMWORK_PART(Norm, IdentityPart, "identity", "x as it is");

}  // namespace
}  // namespace formwork::runtime
