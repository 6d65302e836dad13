#include "formwork/kernels/cpu/cross_entropy.h"

#include "formwork/core/error.h"
#include "formwork/kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/cross_entropy.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/math-inl.h"

#ifndef FORMWORK_KERNELS_CPU_CROSS_ENTROPY_TYPES
#define FORMWORK_KERNELS_CPU_CROSS_ENTROPY_TYPES
namespace formwork {
template <class T>
struct CrossEntropyKernels {
  using Value = typename ComputeType<T>::Type;
  Value (*logsumexp)(std::int64_t, const T*);
  Value (*at)(const T*);
  void (*gradient)(std::int64_t, const T*, std::int64_t, Value, Value, T*);
};
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

template <class T>
using Value = typename ComputeType<T>::Type;

template <class T>
Value<T> value_at(const T* x) {
  return hn::GetLane(load_some(hn::ScalableTag<Value<T>>(), x, 1));
}

template <class T>
Value<T> row_maximum(std::int64_t n, const T* x) {
  const hn::ScalableTag<Value<T>> d;
  const std::int64_t lanes = hn::Lanes(d), whole = n / lanes * lanes;
  const auto nothing = hn::Set(d, -std::numeric_limits<Value<T>>::infinity());
  auto most = nothing;
  for (std::int64_t i = 0; i < whole; i += lanes) most = hn::Max(most, load_some(d, x + i, lanes));
  if (whole < n) {
    const auto there = hn::FirstN(d, static_cast<size_t>(n - whole));
    most = hn::Max(most, hn::IfThenElse(there, load_some(d, x + whole, n - whole), nothing));
  }
  return hn::GetLane(hn::MaxOfLanes(d, most));
}

// The sum of e^(x - most).
template <class T>
Value<T> row_exponentials(std::int64_t n, const T* x, Value<T> most) {
  const hn::ScalableTag<Value<T>> d;
  const std::int64_t lanes = hn::Lanes(d), whole = n / lanes * lanes;
  const auto shift = hn::Set(d, most);
  auto sum = hn::Zero(d);
  for (std::int64_t i = 0; i < whole; i += lanes)
    sum = hn::Add(sum, exp_of(d, hn::Sub(load_some(d, x + i, lanes), shift)));
  if (whole < n) {
    const auto there = hn::FirstN(d, static_cast<size_t>(n - whole));
    const auto last = exp_of(d, hn::Sub(load_some(d, x + whole, n - whole), shift));
    sum = hn::Add(sum, hn::IfThenElseZero(there, last));
  }
  return sum_lanes(d, sum);
}

// Blocks that stay in the first cache make the maximum and the sum one pass over memory.
template <class T>
Value<T> row_logsumexp(std::int64_t n, const T* x) {
  constexpr std::int64_t kBlock = 2048;
  constexpr Value<T> kNothing = -std::numeric_limits<Value<T>>::infinity();
  Value<T> most = kNothing, sum = 0;
  for (std::int64_t i = 0; i < n; i += kBlock) {
    const std::int64_t size = n - i < kBlock ? n - i : kBlock;
    const Value<T> block = row_maximum<T>(size, x + i);
    if (block > most) {
      sum = most == kNothing ? Value<T>(0) : sum * std::exp(most - block);
      most = block;
    }
    if (most != kNothing) sum += row_exponentials<T>(size, x + i, most);
  }
  return most == kNothing ? most : most + std::log(sum);
}

template <class T>
void row_gradient(std::int64_t n, const T* x, std::int64_t target, Value<T> logsumexp, Value<T> scale,
                  T* dx) {
  const hn::ScalableTag<Value<T>> d;
  const std::int64_t lanes = hn::Lanes(d);
  const auto shift = hn::Set(d, logsumexp), factor = hn::Set(d, scale);
  // Rounded once, like the others.
  const auto own = hn::Sub(hn::Mul(exp_of(d, hn::Sub(load_some(d, x + target, 1), shift)), factor), factor);
  for (std::int64_t i = 0; i < n; i += lanes) {
    const auto v = exp_of(d, hn::Sub(load_some(d, x + i, n - i), shift));
    store_some(d, hn::Mul(v, factor), dx + i, n - i);
  }
  store_some(d, own, dx + target, 1);
}

template <class T>
CrossEntropyKernels<T> entropy_kernels() {
  return {&row_logsumexp<T>, &value_at<T>, &row_gradient<T>};
}
CrossEntropyKernels<float> entropy_float() { return entropy_kernels<float>(); }
CrossEntropyKernels<double> entropy_double() { return entropy_kernels<double>(); }
CrossEntropyKernels<bfloat16> entropy_bfloat16() { return entropy_kernels<bfloat16>(); }

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(entropy_float);
HWY_EXPORT(entropy_double);
HWY_EXPORT(entropy_bfloat16);

template <class T>
static CrossEntropyKernels<T> entropy() {
  if constexpr (sizeof(T) == 2)
    return HWY_DYNAMIC_DISPATCH(entropy_bfloat16)();
  else if constexpr (sizeof(T) == 4)
    return HWY_DYNAMIC_DISPATCH(entropy_float)();
  else
    return HWY_DYNAMIC_DISPATCH(entropy_double)();
}

static void check_targets(const CrossEntropy& shape, const std::int64_t* targets) {
  for (std::int64_t row = 0; row < shape.rows; ++row)
    if (targets[row] != shape.ignore && (targets[row] < 0 || targets[row] >= shape.classes))
      fail("cross-entropy: expected targets in [0, {}) or {}, found {} in row {}", shape.classes,
           shape.ignore, targets[row], row);
}

static std::int64_t entropy_grain(const CrossEntropy& shape) { return 1 + 8192 / (shape.classes + 1); }

template <class T>
void cross_entropy_forward(const CrossEntropy& shape, const T* logits, const std::int64_t* targets,
                           typename ComputeType<T>::Type* losses, typename ComputeType<T>::Type* logsumexp) {
  check_targets(shape, targets);
  const auto kernels = entropy<T>();
  parallel_for(0, shape.rows, entropy_grain(shape), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      const T* x = logits + row * shape.stride;
      logsumexp[row] = kernels.logsumexp(shape.classes, x);
      losses[row] = targets[row] == shape.ignore ? 0 : logsumexp[row] - kernels.at(x + targets[row]);
    }
  });
}

template <class T>
void cross_entropy_gradient(const CrossEntropy& shape, const T* logits, const std::int64_t* targets,
                            const typename ComputeType<T>::Type* logsumexp,
                            typename ComputeType<T>::Type scale, T* gradient) {
  check_targets(shape, targets);
  const auto kernels = entropy<T>();
  parallel_for(0, shape.rows, entropy_grain(shape), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      const std::int64_t at = row * shape.stride;
      if (targets[row] == shape.ignore)
        std::fill_n(gradient + at, shape.classes, T{});
      else
        kernels.gradient(shape.classes, logits + at, targets[row], logsumexp[row], scale, gradient + at);
    }
  });
}

template <class T>
void cross_entropy_fused(const CrossEntropy& shape, T* logits, const std::int64_t* targets, T* losses,
                         T scale) {
  check_targets(shape, targets);
  const auto kernels = entropy<T>();
  parallel_for(0, shape.rows, entropy_grain(shape), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t row = first; row < last; ++row) {
      T* x = logits + row * shape.stride;
      losses[row] = 0;
      if (targets[row] == shape.ignore) {
        std::fill_n(x, shape.classes, T(0));
        continue;
      }
      const T logsumexp = kernels.logsumexp(shape.classes, x);
      losses[row] = logsumexp - x[targets[row]];
      kernels.gradient(shape.classes, x, targets[row], logsumexp, scale, x);
    }
  });
}

using Targets = const std::int64_t*;
template void cross_entropy_forward(const CrossEntropy&, const float*, Targets, float*, float*);
template void cross_entropy_forward(const CrossEntropy&, const double*, Targets, double*, double*);
template void cross_entropy_forward(const CrossEntropy&, const bfloat16*, Targets, float*, float*);
template void cross_entropy_gradient(const CrossEntropy&, const bfloat16*, Targets, const float*, float,
                                     bfloat16*);
template void cross_entropy_gradient(const CrossEntropy&, const float*, Targets, const float*, float, float*);
template void cross_entropy_gradient(const CrossEntropy&, const double*, Targets, const double*, double,
                                     double*);
template void cross_entropy_fused(const CrossEntropy&, float*, Targets, float*, float);
template void cross_entropy_fused(const CrossEntropy&, double*, Targets, double*, double);

}  // namespace formwork
#endif  // HWY_ONCE
