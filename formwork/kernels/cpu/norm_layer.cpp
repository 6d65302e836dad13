#include "formwork/kernels/cpu/norm.h"
#include "formwork/kernels/cpu/norm_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/norm_layer.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/math-inl.h"

#ifndef FORMWORK_KERNELS_CPU_NORM_LAYER_TYPES
#define FORMWORK_KERNELS_CPU_NORM_LAYER_TYPES
namespace formwork {
template <class T>
struct LayerKernels {
  void (*forward)(const LayerNorm<T>&, const T*, T*, T*, T*);
  void (*backward)(const LayerNorm<T>&, const T*, const T*, const T*, const T*, T*, T*, T*);
};
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

template <class T>
T row_sum(std::int64_t width, const T* x) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d);
  auto sum = hn::Zero(d);
  for (std::int64_t i = 0; i < width; i += lanes) sum = hn::Add(sum, load_some(d, x + i, width - i));
  return sum_lanes(d, sum);
}

// The sum of (x - mean)^2; a second pass over a row in cache loses no digits to a large mean.
template <class T>
T row_spread(std::int64_t width, const T* x, T mean) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d);
  const auto centre = hn::Set(d, mean);
  auto sum = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    const auto v = hn::Sub(hn::LoadU(d, x + i), centre);
    sum = hn::MulAdd(v, v, sum);
  }
  T rest = 0;
  for (; i < width; ++i) rest += (x[i] - mean) * (x[i] - mean);
  return sum_lanes(d, sum) + rest;
}

template <class T>
void layer_forward(const LayerNorm<T>& norm, const T* x, T* y, T* means, T* inverse) {
  const std::int64_t width = norm.width;
  parallel_for(0, norm.rows, row_grain(width), [&](std::int64_t first, std::int64_t last) HWY_ATTR {
    const hn::ScalableTag<T> d;
    const std::int64_t lanes = hn::Lanes(d);
    for (std::int64_t row = first; row < last; ++row) {
      const T* source = x + row * width;
      means[row] = row_sum<T>(width, source) / static_cast<T>(width);
      const T variance = row_spread<T>(width, source, means[row]) / static_cast<T>(width);
      inverse[row] = T(1) / std::sqrt(variance + norm.epsilon);
      const auto mean = hn::Set(d, means[row]), r = hn::Set(d, inverse[row]);
      for (std::int64_t i = 0; i < width; i += lanes) {
        const std::int64_t left = width - i;
        auto out = hn::Mul(hn::Sub(load_some(d, source + i, left), mean), r);
        if (norm.gain) out = hn::Mul(out, load_some(d, norm.gain + i, left));
        if (norm.bias) out = hn::Add(out, load_some(d, norm.bias + i, left));
        store_some(d, out, y + row * width + i, left);
      }
    }
  });
}

// With h = (x - mean) r and e = g dy: dx = r (e - mean(e) - h mean(e h)).
template <class T>
void layer_backward_row(const LayerNorm<T>& norm, const T* x, T mean, T r, const T* dy, T* dx, T* dgain,
                        T* dbias) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d), width = norm.width;
  const auto centre = hn::Set(d, mean), inverse = hn::Set(d, r);
  auto sum = hn::Zero(d), dot = hn::Zero(d);
  for (std::int64_t i = 0; i < width; i += lanes) {
    const std::int64_t left = width - i;
    const auto h = hn::Mul(hn::Sub(load_some(d, x + i, left), centre), inverse);
    const auto out = load_some(d, dy + i, left);
    const auto e = norm.gain ? hn::Mul(out, load_some(d, norm.gain + i, left)) : out;
    sum = hn::Add(sum, e);
    dot = hn::MulAdd(e, h, dot);
    if (dgain) store_some(d, hn::MulAdd(out, h, load_some(d, dgain + i, left)), dgain + i, left);
    if (dbias) store_some(d, hn::Add(out, load_some(d, dbias + i, left)), dbias + i, left);
  }
  const auto shift = hn::Set(d, sum_lanes(d, sum) / static_cast<T>(width));
  const auto pull = hn::Set(d, sum_lanes(d, dot) / static_cast<T>(width));
  for (std::int64_t i = 0; i < width; i += lanes) {
    const std::int64_t left = width - i;
    const auto h = hn::Mul(hn::Sub(load_some(d, x + i, left), centre), inverse);
    auto e = load_some(d, dy + i, left);
    if (norm.gain) e = hn::Mul(e, load_some(d, norm.gain + i, left));
    store_some(d, hn::Mul(hn::NegMulAdd(h, pull, hn::Sub(e, shift)), inverse), dx + i, left);
  }
}

template <class T>
void layer_backward(const LayerNorm<T>& norm, const T* x, const T* mean, const T* inverse, const T* dy, T* dx,
                    T* dgain, T* dbias) {
  const std::int64_t width = norm.width;
  std::vector<T> total(static_cast<std::size_t>(2 * width));
  reduce_rows(norm.rows, width, 2 * width, total.data(),
              [&](std::int64_t first, std::int64_t last, T* partial) HWY_ATTR {
                for (std::int64_t row = first; row < last; ++row)
                  layer_backward_row<T>(norm, x + row * width, mean[row], inverse[row], dy + row * width,
                                        dx + row * width, dgain ? partial : nullptr,
                                        dbias ? partial + width : nullptr);
              });
  if (dgain) std::copy_n(total.data(), width, dgain);
  if (dbias) std::copy_n(total.data() + width, width, dbias);
}

LayerKernels<float> layer_float() { return {&layer_forward<float>, &layer_backward<float>}; }
LayerKernels<double> layer_double() { return {&layer_forward<double>, &layer_backward<double>}; }

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(layer_float);
HWY_EXPORT(layer_double);

template <class T>
static LayerKernels<T> layer() {
  if constexpr (sizeof(T) == 4)
    return HWY_DYNAMIC_DISPATCH(layer_float)();
  else
    return HWY_DYNAMIC_DISPATCH(layer_double)();
}

template <class T>
void layer_norm_forward(const LayerNorm<T>& norm, const T* x, T* y, T* mean, T* inverse) {
  layer<T>().forward(norm, x, y, mean, inverse);
}

template <class T>
void layer_norm_backward(const LayerNorm<T>& norm, const T* x, const T* mean, const T* inverse, const T* dy,
                         T* dx, T* dgain, T* dbias) {
  layer<T>().backward(norm, x, mean, inverse, dy, dx, dgain, dbias);
}

template void layer_norm_forward(const LayerNorm<float>&, const float*, float*, float*, float*);
template void layer_norm_forward(const LayerNorm<double>&, const double*, double*, double*, double*);
template void layer_norm_backward(const LayerNorm<float>&, const float*, const float*, const float*,
                                  const float*, float*, float*, float*);
template void layer_norm_backward(const LayerNorm<double>&, const double*, const double*, const double*,
                                  const double*, double*, double*, double*);

}  // namespace formwork
#endif  // HWY_ONCE
