// Row norms, forward and backward. All arrays are dense; T is float or double; gain and bias may be null.
// Sources: "Root Mean Square Layer Normalization" (Zhang and Sennrich, 2019); "Layer Normalization"
// (Ba et al., 2016).
#pragma once
#include <cstdint>

namespace formwork {

// rows [rows, width]. RMS: y = x * r * gain, r = 1 / sqrt(sum(x^2) / divisor + epsilon), where divisor is
// usually the width; a cut model keeps the divisor of the width that it was trained with.
template <class T>
struct RmsNorm {
  std::int64_t rows, width;
  T divisor, epsilon;
  const T* gain;  // [width] or null
};

// x [rows, width] -> y [rows, width] and inverse [rows] (r, for the backward pass).
template <class T>
void rms_norm_forward(const RmsNorm<T>& norm, const T* x, T* y, T* inverse);

// dy -> dx [rows, width], plus `passed` [rows, width] (the gradient that reaches the sum by another way)
// where it is not null; dgain [width] is set where it is not null. dx may be dy or passed.
template <class T>
void rms_norm_backward(const RmsNorm<T>& norm, const T* x, const T* inverse, const T* dy, const T* passed,
                       T* dx, T* dgain);

// y = (x - mean) * r * gain + bias, r = 1 / sqrt(variance + epsilon), variance over the width (biased).
template <class T>
struct LayerNorm {
  std::int64_t rows, width;
  T epsilon;
  const T *gain, *bias;  // [width] or null
};

// x [rows, width] -> y, mean [rows], inverse [rows] (r).
template <class T>
void layer_norm_forward(const LayerNorm<T>& norm, const T* x, T* y, T* mean, T* inverse);

// dy -> dx; dgain and dbias [width] are set where they are not null. dx may be dy.
template <class T>
void layer_norm_backward(const LayerNorm<T>& norm, const T* x, const T* mean, const T* inverse, const T* dy,
                         T* dx, T* dgain, T* dbias);

}  // namespace formwork
