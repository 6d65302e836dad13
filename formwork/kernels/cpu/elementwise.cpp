#include "formwork/kernels/cpu/elementwise.h"

#include "formwork/kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/elementwise.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/math-inl.h"

#ifndef FORMWORK_KERNELS_CPU_ELEMENTWISE_TYPES
#define FORMWORK_KERNELS_CPU_ELEMENTWISE_TYPES
namespace formwork {
using ElementwiseRow = void (*)(std::int64_t width, const float* x, const float* times, float* y);
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

template <Elementwise kFunction, class D>
HWY_INLINE VecOf<D> value_of(D d, VecOf<D> x) {
  if constexpr (kFunction == Elementwise::relu) return hn::Max(x, hn::Zero(d));
  if constexpr (kFunction == Elementwise::relu_squared) {
    const auto positive = hn::Max(x, hn::Zero(d));
    return hn::Mul(positive, positive);
  }
  if constexpr (kFunction == Elementwise::gelu) return hn::Mul(x, normal_of(d, x).below);
  if constexpr (kFunction == Elementwise::gelu_tanh) {
    const auto cubic = hn::MulAdd(hn::Mul(hn::Mul(x, x), x), hn::Set(d, 0.044715f), x);
    return hn::Mul(x, sigmoid_of(d, hn::Mul(cubic, hn::Set(d, 1.5957691216057308f))));
  }
  if constexpr (kFunction == Elementwise::silu) return hn::Mul(x, sigmoid_of(d, x));
  if constexpr (kFunction == Elementwise::sigmoid) return sigmoid_of(d, x);
  if constexpr (kFunction == Elementwise::tanh)  // 2 sigmoid(2x) - 1
    return hn::MulSub(hn::Set(d, 2.0f), sigmoid_of(d, hn::Add(x, x)), hn::Set(d, 1.0f));
  return x;
}

template <Elementwise kFunction>
void elementwise_row(std::int64_t width, const float* x, const float* times, float* y) {
  const hn::ScalableTag<float> d;
  const std::int64_t lanes = hn::Lanes(d);
  for (std::int64_t i = 0; i < width; i += lanes) {
    auto value = value_of<kFunction>(d, load_some(d, x + i, width - i));
    if (times) value = hn::Mul(value, load_some(d, times + i, width - i));
    store_some(d, value, y + i, width - i);
  }
}

ElementwiseRow elementwise_kernel(Elementwise function) {
  switch (function) {
    case Elementwise::relu:
      return &elementwise_row<Elementwise::relu>;
    case Elementwise::relu_squared:
      return &elementwise_row<Elementwise::relu_squared>;
    case Elementwise::gelu:
      return &elementwise_row<Elementwise::gelu>;
    case Elementwise::gelu_tanh:
      return &elementwise_row<Elementwise::gelu_tanh>;
    case Elementwise::silu:
      return &elementwise_row<Elementwise::silu>;
    case Elementwise::sigmoid:
      return &elementwise_row<Elementwise::sigmoid>;
    case Elementwise::tanh:
      return &elementwise_row<Elementwise::tanh>;
    default:
      return &elementwise_row<Elementwise::identity>;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(elementwise_kernel);

void elementwise(Elementwise function, std::int64_t rows, std::int64_t width, const float* x,
                 const float* times, std::int64_t stride, float* y) {
  const ElementwiseRow row = HWY_DYNAMIC_DISPATCH(elementwise_kernel)(function);
  parallel_for(0, rows, 1 + 16384 / (width + 1), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r)
      row(width, x + r * stride, times ? times + r * stride : nullptr, y + r * width);
  });
}

}  // namespace formwork
#endif  // HWY_ONCE
