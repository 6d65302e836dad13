// Vector bodies shared by the forward and the backward scan; included once per instruction set.
#if defined(FORMWORK_SELECTIVE_SCAN_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef FORMWORK_SELECTIVE_SCAN_INL
#undef FORMWORK_SELECTIVE_SCAN_INL
#else
#define FORMWORK_SELECTIVE_SCAN_INL
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "formwork/kernels/cpu/selective_scan.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Lanes beyond `count` read as 0, which makes every product they enter vanish.
template <class D, class T>
HWY_INLINE hn::Vec<D> load_lanes(D d, const T* from, int64_t count) {
  if (count >= static_cast<int64_t>(hn::Lanes(d))) return hn::LoadU(d, from);
  HWY_ALIGN T buffer[hn::MaxLanes(d)] = {};
  for (int64_t i = 0; i < count; ++i) buffer[i] = from[i];
  return hn::Load(d, buffer);
}

template <class D, class T>
HWY_INLINE void store_lanes(hn::Vec<D> v, D d, T* to, int64_t count) {
  if (count >= static_cast<int64_t>(hn::Lanes(d))) return hn::StoreU(v, d, to);
  HWY_ALIGN T buffer[hn::MaxLanes(d)];
  hn::Store(v, d, buffer);
  for (int64_t i = 0; i < count; ++i) to[i] = buffer[i];
}

// [count, columns] rows of width `columns` to columns of lanes: to[c][lane], padded lanes 0.
template <class T>
void transpose_in(const T* from, int64_t count, int64_t columns, int64_t lanes, T* to) {
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t l = 0; l < lanes; ++l) to[c * lanes + l] = l < count ? from[l * columns + c] : T(0);
}

template <class T>
void transpose_out(const T* from, int64_t count, int64_t columns, int64_t lanes, T* to) {
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t l = 0; l < count; ++l) to[l * columns + c] = from[c * lanes + l];
}

template <class D, class V>
HWY_INLINE V sigmoid(D d, V v) {
  const V one = hn::Set(d, 1);
  return hn::Div(one, hn::Add(one, hn::Exp(d, hn::Neg(v))));
}

// decay = exp(delta A) and the input factor f of one step.
template <bool kZoh, class D, class V>
HWY_INLINE void discretize(D d, V delta, V A, V& decay, V& factor) {
  const V product = hn::Mul(delta, A);
  if constexpr (kZoh) {
    const V minus_one = hn::Expm1(d, product);
    decay = hn::Add(minus_one, hn::Set(d, 1));
    factor = hn::IfThenElse(hn::Eq(A, hn::Zero(d)), delta, hn::Div(minus_one, A));
  } else {
    decay = hn::Exp(d, product);
    factor = delta;
  }
}

// df/dA of the exact hold: delta^2 (e^p (p - 1) + 1) / p^2 with p = delta A, by its series where that
// cancels.
template <class D, class V>
HWY_INLINE V hold_slope(D d, V delta, V A, V decay, V factor) {
  const V p = hn::Mul(delta, A);
  const double terms[] = {1.0 / 2,   1.0 / 3,    1.0 / 8,     1.0 / 30,     1.0 / 144,
                          1.0 / 840, 1.0 / 5760, 1.0 / 45360, 1.0 / 403200, 1.0 / 3991680};
  using T = hn::TFromD<D>;
  V series = hn::Set(d, static_cast<T>(terms[9]));
  for (int k = 8; k >= 0; --k) series = hn::MulAdd(series, p, hn::Set(d, static_cast<T>(terms[k])));
  const V small = hn::Mul(hn::Mul(delta, delta), series);
  const auto near_zero = hn::Lt(hn::Abs(p), hn::Set(d, static_cast<T>(0.3)));
  const V safe = hn::IfThenElse(near_zero, hn::Set(d, 1), A);
  return hn::IfThenElse(near_zero, small, hn::Div(hn::Sub(hn::Mul(delta, decay), factor), safe));
}

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();
#endif
