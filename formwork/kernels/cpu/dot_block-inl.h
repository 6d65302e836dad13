// Dot products of a few rows of one matrix with a few of another, for one SIMD target: what the product of
// few rows and attention to few queries are made of.
#if defined(FORMWORK_KERNELS_CPU_DOT_BLOCK_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FORMWORK_KERNELS_CPU_DOT_BLOCK_INL_H
#undef FORMWORK_KERNELS_CPU_DOT_BLOCK_INL_H
#else
#define FORMWORK_KERNELS_CPU_DOT_BLOCK_INL_H
#endif

#include <algorithm>
#include <type_traits>

#include "formwork/kernels/cpu/math-inl.h"
#include "hwy/cache_control.h"

// Before a loop that indexes an array of vectors: left to themselves, compilers unroll a long one too late to
// keep the array in registers.
#undef FORMWORK_UNROLL
#ifdef __clang__
#define FORMWORK_UNROLL _Pragma("clang loop unroll(full)")
#else
#define FORMWORK_UNROLL _Pragma("GCC unroll 32")
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

// Rows of n values, dense, `stride` apart.
template <class T>
struct DotRows {
  const T* data;
  std::int64_t stride;
};

// to[i] = the sum of the lanes of v[i], each in the same order wherever it stands; `to` has room for whole
// vectors. kWidth lanes of each are still to be added up.
template <int kCount, int kWidth, class D>
HWY_INLINE void sum_each(D d, const VecOf<D>* v, LaneOf<D>* to) {
  if constexpr (kWidth > 1) {
    constexpr int kPairs = (kCount + 1) / 2;
    VecOf<D> sums[kPairs];
    FORMWORK_UNROLL for (int i = 0; i < kPairs; ++i) {
      const auto low = v[2 * i], high = v[std::min(2 * i + 1, kCount - 1)];
      sums[i] = hn::Add(hn::ConcatEven(d, high, low), hn::ConcatOdd(d, high, low));
    }
    sum_each<kPairs, kWidth / 2>(d, sums, to);
  } else {
    FORMWORK_UNROLL for (int i = 0; i < kCount; ++i) hn::StoreU(v[i], d, to + i * hn::MaxLanes(d));
  }
}

// Adds the products of the next min(left, lanes) values; b may be stored in a narrower type.
template <int kA, int kB, class D, class T, class Stored>
HWY_INLINE void add_products(D d, DotRows<T> a, DotRows<Stored> b, std::int64_t left, VecOf<D>* sums) {
  VecOf<D> right[kB];
  FORMWORK_UNROLL for (int j = 0; j < kB; ++j) right[j] = load_some(d, b.data + j * b.stride, left);
  FORMWORK_UNROLL for (int i = 0; i < kA; ++i) {
    const auto value = load_some(d, a.data + i * a.stride, left);
    FORMWORK_UNROLL for (int j = 0; j < kB; ++j) sums[i * kB + j] =
        hn::MulAdd(value, right[j], sums[i * kB + j]);
  }
}

// Values that dot_block writes: whole vectors.
template <class T, int kA, int kB>
inline constexpr int kDotRoom = kA* kB + static_cast<int>(hn::MaxLanes(hn::ScalableTag<T>()));

// to[i * kB + j] = sum over n of a[i] b[j], kA rows by kB, the sums in registers; every one is added up in
// the same order whatever kA and kB are. Meanwhile, where `next` is not null, it is fetched as b is read:
// rows of b that follow, which the processor's own prefetching does not reach beyond a page.
template <int kA, int kB, class T, class Stored = T>
HWY_INLINE void dot_block(std::int64_t n, DotRows<T> a, DotRows<Stored> b,
                          const std::type_identity_t<Stored>* next, T* to) {
  const hn::ScalableTag<T> d;
  constexpr int kLanes = static_cast<int>(hn::MaxLanes(hn::ScalableTag<T>()));
  VecOf<decltype(d)> sums[kA * kB];
  FORMWORK_UNROLL for (int s = 0; s < kA * kB; ++s) sums[s] = hn::Zero(d);
  for (; n >= kLanes; n -= kLanes) {
    if (next) {
      FORMWORK_UNROLL for (int j = 0; j < kB; ++j) hwy::Prefetch(next + j * b.stride);
      next += kLanes;
    }
    add_products<kA, kB>(d, a, b, kLanes, sums);
    a.data += kLanes, b.data += kLanes;
  }
  if (n > 0) add_products<kA, kB>(d, a, b, n, sums);
  sum_each<kA * kB, kLanes>(d, sums, to);
}

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#endif  // FORMWORK_KERNELS_CPU_DOT_BLOCK_INL_H
