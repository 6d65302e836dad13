#include "formwork/kernels/cpu/norm.h"
#include "formwork/kernels/cpu/norm_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/norm_rms.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/math-inl.h"

#ifndef FORMWORK_KERNELS_CPU_NORM_RMS_TYPES
#define FORMWORK_KERNELS_CPU_NORM_RMS_TYPES
namespace formwork {
template <class T>
struct RmsKernels {
  void (*forward)(const RmsNorm<T>&, const T*, T*, T*);
  void (*backward)(const RmsNorm<T>&, const T*, const T*, const T*, const T*, T*, T*);
};
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

template <class D>
HWY_INLINE VecOf<D> gain_at(D d, const LaneOf<D>* gain, std::int64_t i, std::int64_t left) {
  return gain ? load_some(d, gain + i, left) : hn::Set(d, LaneOf<D>(1));
}

template <class T>
T row_squares(std::int64_t width, const T* x) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d);
  auto even = hn::Zero(d), odd = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + 2 * lanes <= width; i += 2 * lanes) {
    const auto a = hn::LoadU(d, x + i), b = hn::LoadU(d, x + i + lanes);
    even = hn::MulAdd(a, a, even);
    odd = hn::MulAdd(b, b, odd);
  }
  for (; i < width; i += lanes) {
    const auto v = load_some(d, x + i, width - i);
    even = hn::MulAdd(v, v, even);
  }
  return sum_lanes(d, hn::Add(even, odd));
}

template <class T>
void rms_forward(const RmsNorm<T>& norm, const T* x, T* y, T* inverse) {
  const std::int64_t width = norm.width;
  parallel_for(0, norm.rows, row_grain(width), [&](std::int64_t first, std::int64_t last) HWY_ATTR {
    const hn::ScalableTag<T> d;
    const std::int64_t lanes = hn::Lanes(d);
    for (std::int64_t row = first; row < last; ++row) {
      const std::int64_t at = row * width;
      inverse[row] = T(1) / std::sqrt(row_squares<T>(width, x + at) / norm.divisor + norm.epsilon);
      const auto r = hn::Set(d, inverse[row]);
      for (std::int64_t i = 0; i < width; i += lanes) {
        const auto scaled = hn::Mul(load_some(d, x + at + i, width - i), r);
        store_some(d, hn::Mul(scaled, gain_at(d, norm.gain, i, width - i)), y + at + i, width - i);
      }
    }
  });
}

// dx = r * g dy - x * r^3 / divisor * sum(x g dy).
template <class T>
void rms_backward_row(const RmsNorm<T>& norm, const T* x, T r, const T* dy, const T* passed, T* dx,
                      T* dgain) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d), width = norm.width;
  auto dot = hn::Zero(d);
  const auto inverse = hn::Set(d, r);
  for (std::int64_t i = 0; i < width; i += lanes) {
    const auto product = hn::Mul(load_some(d, x + i, width - i), load_some(d, dy + i, width - i));
    dot = hn::MulAdd(product, gain_at(d, norm.gain, i, width - i), dot);
    if (dgain)
      store_some(d, hn::MulAdd(product, inverse, load_some(d, dgain + i, width - i)), dgain + i, width - i);
  }
  const auto pull = hn::Set(d, r * r * r / norm.divisor * sum_lanes(d, dot));
  for (std::int64_t i = 0; i < width; i += lanes) {
    const auto push =
        hn::Mul(hn::Mul(load_some(d, dy + i, width - i), inverse), gain_at(d, norm.gain, i, width - i));
    auto out = hn::NegMulAdd(load_some(d, x + i, width - i), pull, push);
    if (passed) out = hn::Add(out, load_some(d, passed + i, width - i));
    store_some(d, out, dx + i, width - i);
  }
}

template <class T>
void rms_backward(const RmsNorm<T>& norm, const T* x, const T* inverse, const T* dy, const T* passed, T* dx,
                  T* dgain) {
  const std::int64_t width = norm.width;
  reduce_rows(norm.rows, width, dgain ? width : 0, dgain,
              [&](std::int64_t first, std::int64_t last, T* partial) HWY_ATTR {
                for (std::int64_t row = first; row < last; ++row) {
                  const std::int64_t at = row * width;
                  rms_backward_row<T>(norm, x + at, inverse[row], dy + at, passed ? passed + at : nullptr,
                                      dx + at, dgain ? partial : nullptr);
                }
              });
}

RmsKernels<float> rms_float() { return {&rms_forward<float>, &rms_backward<float>}; }
RmsKernels<double> rms_double() { return {&rms_forward<double>, &rms_backward<double>}; }

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(rms_float);
HWY_EXPORT(rms_double);

template <class T>
static RmsKernels<T> rms() {
  if constexpr (sizeof(T) == 4)
    return HWY_DYNAMIC_DISPATCH(rms_float)();
  else
    return HWY_DYNAMIC_DISPATCH(rms_double)();
}

template <class T>
void rms_norm_forward(const RmsNorm<T>& norm, const T* x, T* y, T* inverse) {
  rms<T>().forward(norm, x, y, inverse);
}

template <class T>
void rms_norm_backward(const RmsNorm<T>& norm, const T* x, const T* inverse, const T* dy, const T* passed,
                       T* dx, T* dgain) {
  rms<T>().backward(norm, x, inverse, dy, passed, dx, dgain);
}

template void rms_norm_forward(const RmsNorm<float>&, const float*, float*, float*);
template void rms_norm_forward(const RmsNorm<double>&, const double*, double*, double*);
template void rms_norm_backward(const RmsNorm<float>&, const float*, const float*, const float*, const float*,
                                float*, float*);
template void rms_norm_backward(const RmsNorm<double>&, const double*, const double*, const double*,
                                const double*, double*, double*);

}  // namespace formwork
#endif  // HWY_ONCE
