#include "formwork/kernels/cpu/rotary.h"

#include "formwork/kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/rotary.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/math-inl.h"

#ifndef FORMWORK_KERNELS_CPU_ROTARY_TYPES
#define FORMWORK_KERNELS_CPU_ROTARY_TYPES
namespace formwork {
// The heads of one token: turns `half` pairs of each by direction (1 or -1) times the table's angles.
template <class T>
struct RotaryKernels {
  void (*turn[2])(const Rotary&, const T* cosines, const T* sines, T direction, T* x);
};
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

template <class T>
void turn_head_interleaved(std::int64_t half, const T* cosines, const T* sines, T direction, T* x) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d);
  const auto sign = hn::Set(d, direction);
  std::int64_t i = 0;
  for (; i + lanes <= half; i += lanes) {
    const auto c = hn::LoadU(d, cosines + i), s = hn::Mul(hn::LoadU(d, sines + i), sign);
    VecOf<decltype(d)> a, b;
    hn::LoadInterleaved2(d, x + 2 * i, a, b);
    hn::StoreInterleaved2(hn::NegMulAdd(b, s, hn::Mul(a, c)), hn::MulAdd(a, s, hn::Mul(b, c)), d, x + 2 * i);
  }
  for (; i < half; ++i) {
    const T a = x[2 * i], b = x[2 * i + 1], c = cosines[i], s = sines[i] * direction;
    x[2 * i] = a * c - b * s;
    x[2 * i + 1] = a * s + b * c;
  }
}

template <class T>
void turn_interleaved(const Rotary& shape, const T* cosines, const T* sines, T direction, T* x) {
  for (std::int64_t i = 0; i < shape.heads; ++i, x += shape.head_stride)
    turn_head_interleaved<T>(shape.width / 2, cosines, sines, direction, x);
}

template <class D, class T = LaneOf<D>>
HWY_INLINE void turn_head_halves(D d, std::int64_t half, const T* cosines, const T* sines, T direction,
                                 T* x) {
  const std::int64_t lanes = hn::Lanes(d);
  const auto sign = hn::Set(d, direction);
  for (std::int64_t i = 0; i < half; i += lanes) {
    const std::int64_t left = half - i;
    const auto c = load_some(d, cosines + i, left), s = hn::Mul(load_some(d, sines + i, left), sign);
    const auto a = load_some(d, x + i, left), b = load_some(d, x + half + i, left);
    store_some(d, hn::NegMulAdd(b, s, hn::Mul(a, c)), x + i, left);
    store_some(d, hn::MulAdd(a, s, hn::Mul(b, c)), x + half + i, left);
  }
}

// Vectors of half the length for heads that do not fill whole ones.
template <class T>
void turn_halves(const Rotary& shape, const T* cosines, const T* sines, T direction, T* x) {
  const hn::ScalableTag<T> d;
  const hn::Half<decltype(d)> narrow;
  const std::int64_t half = shape.width / 2;
  if (half <= static_cast<std::int64_t>(hn::Lanes(narrow)))
    for (std::int64_t i = 0; i < shape.heads; ++i, x += shape.head_stride)
      turn_head_halves(narrow, half, cosines, sines, direction, x);
  else
    for (std::int64_t i = 0; i < shape.heads; ++i, x += shape.head_stride)
      turn_head_halves(d, half, cosines, sines, direction, x);
}

RotaryKernels<float> rotary_float() { return {{&turn_interleaved<float>, &turn_halves<float>}}; }
RotaryKernels<double> rotary_double() { return {{&turn_interleaved<double>, &turn_halves<double>}}; }

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(rotary_float);
HWY_EXPORT(rotary_double);

template <class T>
static void rotate(const Rotary& shape, const T* cosines, const T* sines, T direction, T* x) {
  RotaryKernels<T> kernels;
  if constexpr (sizeof(T) == 4)
    kernels = HWY_DYNAMIC_DISPATCH(rotary_float)();
  else
    kernels = HWY_DYNAMIC_DISPATCH(rotary_double)();
  const auto turn = kernels.turn[static_cast<int>(shape.layout)];
  const std::int64_t half = shape.width / 2, grain = 1 + 8192 / (shape.heads * shape.width + 1);
  parallel_for(0, shape.batch * shape.tokens, grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t at = first; at < last; ++at) {
      const std::int64_t row = at / shape.tokens, token = at % shape.tokens;
      const std::int64_t table = row * shape.table_batch + token * half;
      turn(shape, cosines + table, sines + table, direction,
           x + row * shape.batch_stride + token * shape.token_stride);
    }
  });
}

template <class T>
void rotary_forward(const Rotary& shape, const T* cosines, const T* sines, T* x) {
  rotate(shape, cosines, sines, T(1), x);
}

template <class T>
void rotary_inverse(const Rotary& shape, const T* cosines, const T* sines, T* x) {
  rotate(shape, cosines, sines, T(-1), x);
}

template void rotary_forward(const Rotary&, const float*, const float*, float*);
template void rotary_forward(const Rotary&, const double*, const double*, double*);
template void rotary_inverse(const Rotary&, const float*, const float*, float*);
template void rotary_inverse(const Rotary&, const double*, const double*, double*);

}  // namespace formwork
#endif  // HWY_ONCE
