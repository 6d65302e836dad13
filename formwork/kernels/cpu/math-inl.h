// Vector arithmetic that the kernels share, for one SIMD target (Highway includes this file once a target).
#if defined(FORMWORK_KERNELS_CPU_MATH_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FORMWORK_KERNELS_CPU_MATH_INL_H
#undef FORMWORK_KERNELS_CPU_MATH_INL_H
#else
#define FORMWORK_KERNELS_CPU_MATH_INL_H
#endif

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "formwork/kernels/cpu/bfloat16.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
template <class D>
using LaneOf = hn::TFromD<D>;
template <class D>
using VecOf = hn::Vec<D>;

// Whether Highway's masked loads and stores leave the memory of absent lanes alone: AVX2 masks lanes of 4 and
// 8 bytes, AVX-512 all.
template <class D>
inline constexpr bool kMaskedMemory = HWY_TARGET <= HWY_AVX3 ||
                                      (HWY_TARGET <= HWY_AVX2 && sizeof(LaneOf<D>) >= 4);

// The next min(left, lanes) values; absent lanes are 0.
template <class D>
HWY_INLINE VecOf<D> load_some(D d, const LaneOf<D>* p, std::int64_t left) {
  if (left >= static_cast<std::int64_t>(hn::Lanes(d))) return hn::LoadU(d, p);
  if constexpr (kMaskedMemory<D>) return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(left)), d, p);
  HWY_ALIGN LaneOf<D> lanes[HWY_MAX_BYTES / sizeof(LaneOf<D>)] = {};
  for (std::int64_t i = 0; i < left; ++i) lanes[i] = p[i];
  return hn::Load(d, lanes);
}

template <class D>
HWY_INLINE void store_some(D d, VecOf<D> v, LaneOf<D>* p, std::int64_t left) {
  if (left >= static_cast<std::int64_t>(hn::Lanes(d))) return hn::StoreU(v, d, p);
  if constexpr (kMaskedMemory<D>) return hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(left)), d, p);
  HWY_ALIGN LaneOf<D> lanes[HWY_MAX_BYTES / sizeof(LaneOf<D>)];
  hn::Store(v, d, lanes);
  for (std::int64_t i = 0; i < left; ++i) p[i] = lanes[i];
}

// The same on bfloat16 for lanes of float; a store rounds to nearest, ties to even.
template <class D>
HWY_INLINE VecOf<D> load_some(D d, const bfloat16* p, std::int64_t left) {
  const hn::Rebind<std::uint16_t, D> halves;
  const hn::RebindToUnsigned<D> words;
  const auto bits = load_some(halves, reinterpret_cast<const std::uint16_t*>(p), left);
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(words, bits)));
}

template <class D>
HWY_INLINE void store_some(D d, VecOf<D> v, bfloat16* p, std::int64_t left) {
  const hn::Rebind<std::uint16_t, D> halves;
  const hn::RebindToSigned<D> words;
  const auto bits = hn::BitCast(words, v);
  const auto even = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 1));
  const auto rounded = hn::Add(bits, hn::Add(even, hn::Set(words, 0x7FFF)));
  // A NaN keeps its upper half, with a bit set so that it stays one.
  const auto quiet = hn::Or(bits, hn::Set(words, 0x400000));
  const auto chosen = hn::IfThenElse(hn::RebindMask(words, hn::IsNaN(v)), quiet, rounded);
  const auto upper = hn::And(hn::ShiftRight<16>(chosen), hn::Set(words, 0xFFFF));
  store_some(halves, hn::DemoteTo(halves, upper), reinterpret_cast<std::uint16_t*>(p), left);
}

// float16 and int8 as lanes of float.
template <class D>
HWY_INLINE VecOf<D> load_some(D d, const hwy::float16_t* p, std::int64_t left) {
  const hn::Rebind<hwy::float16_t, D> halves;
  const hn::Rebind<std::uint16_t, D> words;
  const auto bits = load_some(words, reinterpret_cast<const std::uint16_t*>(p), left);
  return hn::PromoteTo(d, hn::BitCast(halves, bits));
}

template <class D>
requires std::is_same_v < LaneOf<D>,
float > HWY_INLINE VecOf<D> load_some(D d, const std::int8_t* p, std::int64_t left) {
  const hn::Rebind<std::int8_t, D> bytes;
  const hn::RebindToSigned<D> words;
  return hn::ConvertTo(d, hn::PromoteTo(words, load_some(bytes, p, left)));
}

template <class D>
HWY_INLINE LaneOf<D> sum_lanes(D d, VecOf<D> v) {
  return hn::GetLane(hn::SumOfLanes(d, v));
}

// e^x, and 0 below the least normal number. Float: 2^n times a degree-6 minimax polynomial of the remainder,
// relative error about 1e-7 for x <= 88.
template <class D>
HWY_INLINE VecOf<D> exp_of(D d, VecOf<D> x) {
  if constexpr (sizeof(LaneOf<D>) == 8) {
    return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -708.0)), hn::Exp(d, x));
  } else {
    const auto vanishes = hn::Lt(x, hn::Set(d, -87.0f));
    const hn::RebindToSigned<D> di;
    // In this order of operands x86 lets a NaN through.
    const auto bounded = hn::Min(hn::Set(d, 88.3f), hn::Max(hn::Set(d, -87.0f), x));
    const auto n = hn::NearestInt(hn::Mul(bounded, hn::Set(d, 1.44269504f)));
    const auto nf = hn::ConvertTo(d, n);
    auto r = hn::NegMulAdd(nf, hn::Set(d, 0.693359375f), bounded);
    r = hn::NegMulAdd(nf, hn::Set(d, -2.12194440e-4f), r);
    auto p = hn::MulAdd(hn::Set(d, 0.001383683186f), r, hn::Set(d, 0.008374826853f));
    p = hn::MulAdd(p, r, hn::Set(d, 0.04166822641f));
    p = hn::MulAdd(p, r, hn::Set(d, 0.1666642004f));
    p = hn::MulAdd(p, r, hn::Set(d, 0.4999999207f));
    p = hn::MulAdd(p, r, hn::Set(d, 1.000000036f));
    p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
    const auto power = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(n, hn::Set(di, 127))));
    return hn::IfThenZeroElse(vanishes, hn::Mul(p, power));
  }
}

// a / b for b in [1, 2]. AVX-512's estimate of 1 / b has 14 bits, and one step of Newton doubles them: a
// third of a division's time.
template <class D>
HWY_INLINE VecOf<D> divide_by_one_to_two(D d, VecOf<D> a, VecOf<D> b) {
  if constexpr (HWY_TARGET <= HWY_AVX3 && sizeof(LaneOf<D>) == 4) {
    const auto estimate = hn::ApproximateReciprocal(b);
    const auto error = hn::NegMulAdd(b, estimate, hn::Set(d, 1.0f));
    return hn::Mul(a, hn::MulAdd(estimate, error, estimate));
  } else {
    return hn::Div(a, b);
  }
}

// 1 / (1 + e^-x), accurate in both tails.
template <class D>
HWY_INLINE VecOf<D> sigmoid_of(D d, VecOf<D> x) {
  const auto one = hn::Set(d, LaneOf<D>(1));
  const auto small = exp_of(d, hn::Neg(hn::Abs(x)));
  const auto denominator = hn::Add(one, small);
  return divide_by_one_to_two(d, hn::IfThenElse(hn::Ge(x, hn::Zero(d)), one, small), denominator);
}

template <class D>
struct NormalPair {
  VecOf<D> below, density;
};

// The standard normal distribution function Phi(x) = (1 + erf(x / sqrt 2)) / 2 and its density. Float: the
// scaled complementary error function as a polynomial of 1 / (1 + 0.3 z), so that both tails keep their
// relative accuracy.
template <class D>
HWY_INLINE NormalPair<D> normal_of(D d, VecOf<D> x) {
  using T = LaneOf<D>;
  const auto gauss = exp_of(d, hn::Mul(hn::Mul(x, x), hn::Set(d, T(-0.5))));
  const auto density = hn::Mul(gauss, hn::Set(d, T(0.3989422804014327)));
  if constexpr (sizeof(T) == 8) {
    HWY_ALIGN T lanes[HWY_MAX_BYTES / sizeof(T)];
    hn::Store(x, d, lanes);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) lanes[i] = 0.5 * std::erfc(-lanes[i] * 0.7071067811865476);
    return {hn::Load(d, lanes), density};
  } else {
    const auto one = hn::Set(d, 1.0f);
    const auto t = hn::Div(one, hn::MulAdd(hn::Abs(x), hn::Set(d, 0.3f * 0.70710678f), one));
    auto p = hn::MulAdd(hn::Set(d, -0.1295218534f), t, hn::Set(d, 0.4855578334f));
    p = hn::MulAdd(p, t, hn::Set(d, -0.5122664065f));
    p = hn::MulAdd(p, t, hn::Set(d, 0.5477059823f));
    p = hn::MulAdd(p, t, hn::Set(d, -0.09464053134f));
    p = hn::MulAdd(p, t, hn::Set(d, 0.2149214972f));
    p = hn::MulAdd(p, t, hn::Set(d, 0.1483403962f));
    p = hn::MulAdd(p, t, hn::Set(d, 0.1707150463f));
    p = hn::MulAdd(p, t, hn::Set(d, 0.1691880164f));
    const auto tail = hn::Mul(hn::Mul(p, t), hn::Mul(gauss, hn::Set(d, 0.5f)));
    return {hn::IfThenElse(hn::Ge(x, hn::Zero(d)), hn::Sub(one, tail), tail), density};
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#endif  // FORMWORK_KERNELS_CPU_MATH_INL_H
