#include "formwork/kernels/cpu/activation.h"

#include "formwork/kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/activation.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/math-inl.h"

#ifndef FORMWORK_KERNELS_CPU_ACTIVATION_TYPES
#define FORMWORK_KERNELS_CPU_ACTIVATION_TYPES
namespace formwork {
template <class T>
struct GatedKernels {
  void (*forward[4])(std::int64_t, std::int64_t, const T*, T*);
  void (*backward[4])(std::int64_t, std::int64_t, const T*, const T*, T*);
};
inline constexpr std::int64_t kActivationGrain = 8192;
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

template <class D>
struct ValueAndSlope {
  VecOf<D> value, slope;
};

struct Sigmoid {
  template <class D>
  static HWY_INLINE VecOf<D> value(D d, VecOf<D> x) {
    return sigmoid_of(d, x);
  }
  template <class D>
  static HWY_INLINE ValueAndSlope<D> both(D d, VecOf<D> x) {
    const auto s = sigmoid_of(d, x);
    return {s, hn::NegMulAdd(s, s, s)};
  }
};

struct Silu {
  template <class D>
  static HWY_INLINE VecOf<D> value(D d, VecOf<D> x) {
    return hn::Mul(x, sigmoid_of(d, x));
  }
  template <class D>
  static HWY_INLINE ValueAndSlope<D> both(D d, VecOf<D> x) {
    const auto s = sigmoid_of(d, x);
    const auto y = hn::Mul(x, s);
    return {y, hn::Add(s, hn::NegMulAdd(y, s, y))};
  }
};

struct Gelu {
  template <class D>
  static HWY_INLINE VecOf<D> value(D d, VecOf<D> x) {
    return hn::Mul(x, normal_of(d, x).below);
  }
  template <class D>
  static HWY_INLINE ValueAndSlope<D> both(D d, VecOf<D> x) {
    const auto normal = normal_of(d, x);
    return {hn::Mul(x, normal.below), hn::MulAdd(x, normal.density, normal.below)};
  }
};

struct Relu {
  template <class D>
  static HWY_INLINE VecOf<D> value(D d, VecOf<D> x) {
    return hn::Max(hn::Zero(d), x);
  }
  template <class D>
  static HWY_INLINE ValueAndSlope<D> both(D d, VecOf<D> x) {
    const auto one = hn::Set(d, LaneOf<D>(1));
    return {value(d, x), hn::IfThenElseZero(hn::Gt(x, hn::Zero(d)), one)};
  }
};

template <class Act, class T>
void forward(std::int64_t rows, std::int64_t width, const T* x, T* y) {
  parallel_for(0, rows, 1 + kActivationGrain / (width + 1),
               [=](std::int64_t first, std::int64_t last) HWY_ATTR {
                 const hn::ScalableTag<typename ComputeType<T>::Type> d;
                 const std::int64_t lanes = hn::Lanes(d);
                 for (std::int64_t row = first; row < last; ++row) {
                   const T* gate = x + row * 2 * width;
                   for (std::int64_t i = 0; i < width; i += lanes) {
                     const auto value = Act::value(d, load_some(d, gate + i, width - i));
                     store_some(d, hn::Mul(value, load_some(d, gate + width + i, width - i)),
                                y + row * width + i, width - i);
                   }
                 }
               });
}

template <class Act, class T>
void backward(std::int64_t rows, std::int64_t width, const T* x, const T* dy, T* dx) {
  parallel_for(0, rows, 1 + kActivationGrain / (width + 1),
               [=](std::int64_t first, std::int64_t last) HWY_ATTR {
                 const hn::ScalableTag<typename ComputeType<T>::Type> d;
                 const std::int64_t lanes = hn::Lanes(d);
                 for (std::int64_t row = first; row < last; ++row) {
                   const T* gate = x + row * 2 * width;
                   T* dgate = dx + row * 2 * width;
                   for (std::int64_t i = 0; i < width; i += lanes) {
                     const std::int64_t left = width - i;
                     const auto act = Act::both(d, load_some(d, gate + i, left));
                     const auto up = load_some(d, gate + width + i, left);
                     const auto out = load_some(d, dy + row * width + i, left);
                     store_some(d, hn::Mul(hn::Mul(out, up), act.slope), dgate + i, left);
                     store_some(d, hn::Mul(out, act.value), dgate + width + i, left);
                   }
                 }
               });
}

template <class T>
GatedKernels<T> gated_kernels() {
  return {{&forward<Sigmoid, T>, &forward<Silu, T>, &forward<Gelu, T>, &forward<Relu, T>},
          {&backward<Sigmoid, T>, &backward<Silu, T>, &backward<Gelu, T>, &backward<Relu, T>}};
}
GatedKernels<float> gated_float() { return gated_kernels<float>(); }
GatedKernels<double> gated_double() { return gated_kernels<double>(); }
GatedKernels<bfloat16> gated_bfloat16() { return gated_kernels<bfloat16>(); }

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(gated_float);
HWY_EXPORT(gated_double);
HWY_EXPORT(gated_bfloat16);

template <class T>
static GatedKernels<T> gated() {
  if constexpr (sizeof(T) == 2)
    return HWY_DYNAMIC_DISPATCH(gated_bfloat16)();
  else if constexpr (sizeof(T) == 4)
    return HWY_DYNAMIC_DISPATCH(gated_float)();
  else
    return HWY_DYNAMIC_DISPATCH(gated_double)();
}

template <class T>
void gated_forward(Gate gate, std::int64_t rows, std::int64_t width, const T* x, T* y) {
  gated<T>().forward[static_cast<int>(gate)](rows, width, x, y);
}

template <class T>
void gated_backward(Gate gate, std::int64_t rows, std::int64_t width, const T* x, const T* dy, T* dx) {
  gated<T>().backward[static_cast<int>(gate)](rows, width, x, dy, dx);
}

template void gated_forward(Gate, std::int64_t, std::int64_t, const float*, float*);
template void gated_forward(Gate, std::int64_t, std::int64_t, const double*, double*);
template void gated_forward(Gate, std::int64_t, std::int64_t, const bfloat16*, bfloat16*);
template void gated_backward(Gate, std::int64_t, std::int64_t, const float*, const float*, float*);
template void gated_backward(Gate, std::int64_t, std::int64_t, const double*, const double*, double*);
template void gated_backward(Gate, std::int64_t, std::int64_t, const bfloat16*, const bfloat16*, bfloat16*);

}  // namespace formwork
#endif  // HWY_ONCE
