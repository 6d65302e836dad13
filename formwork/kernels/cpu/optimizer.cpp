#include "formwork/kernels/cpu/optimizer.h"

#include <algorithm>
#include <vector>

#include "formwork/kernels/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/optimizer.cpp"
#include "hwy/foreach_target.h"
// foreach_target comes first.
#include "formwork/kernels/cpu/math-inl.h"

#ifndef FORMWORK_KERNELS_CPU_OPTIMIZER_TYPES
#define FORMWORK_KERNELS_CPU_OPTIMIZER_TYPES
namespace formwork {
template <class T>
struct OptimizerKernels {
  void (*adamw)(const AdamW&, std::int64_t, T*, const T*, T*, T*);
  void (*sgd)(const Sgd&, std::int64_t, T*, const T*, T*);
  void (*lion)(const Lion&, std::int64_t, T*, const T*, T*);
  T (*squares)(std::int64_t, const T*);
};
inline constexpr std::int64_t kOptimizerBlock = 16384;
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

template <class T>
void adamw(const AdamW& o, std::int64_t n, T* p, const T* g, T* m, T* v) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d);
  const double step = static_cast<double>(o.step);
  const auto keep = hn::Set(d, static_cast<T>(1 - o.rate * o.decay));
  const auto mix1 = hn::Set(d, static_cast<T>(1 - o.beta1)), mix2 = hn::Set(d, static_cast<T>(1 - o.beta2));
  const auto beta2 = hn::Set(d, static_cast<T>(o.beta2)),
             scale = hn::Set(d, static_cast<T>(o.gradient_scale));
  const auto rate = hn::Set(d, static_cast<T>(o.rate / (1 - std::pow(o.beta1, step))));
  const auto root = hn::Set(d, static_cast<T>(1 / std::sqrt(1 - std::pow(o.beta2, step))));
  const auto epsilon = hn::Set(d, static_cast<T>(o.epsilon));
  for (std::int64_t i = 0; i < n; i += lanes) {
    const std::int64_t left = n - i;
    const auto gradient = hn::Mul(load_some(d, g + i, left), scale);
    const auto old = load_some(d, m + i, left);
    const auto first = hn::MulAdd(mix1, hn::Sub(gradient, old), old);
    const auto second =
        hn::MulAdd(hn::Mul(gradient, mix2), gradient, hn::Mul(beta2, load_some(d, v + i, left)));
    const auto divisor = hn::MulAdd(hn::Sqrt(second), root, epsilon);
    const auto decayed = hn::Mul(load_some(d, p + i, left), keep);
    store_some(d, first, m + i, left);
    store_some(d, second, v + i, left);
    store_some(d, hn::NegMulAdd(rate, hn::Div(first, divisor), decayed), p + i, left);
  }
}

template <class T>
void sgd(const Sgd& o, std::int64_t n, T* p, const T* g, T* m) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d);
  const auto rate = hn::Set(d, static_cast<T>(o.rate)), momentum = hn::Set(d, static_cast<T>(o.momentum));
  const auto decay = hn::Set(d, static_cast<T>(o.decay)),
             scale = hn::Set(d, static_cast<T>(o.gradient_scale));
  const auto look = hn::Set(d, static_cast<T>(o.nesterov ? o.momentum : 0.0));
  const auto own = hn::Set(d, static_cast<T>(o.nesterov ? 1.0 : 0.0));
  const auto history = hn::Set(d, static_cast<T>(o.nesterov ? 0.0 : 1.0));
  for (std::int64_t i = 0; i < n; i += lanes) {
    const std::int64_t left = n - i;
    const auto value = load_some(d, p + i, left);
    const auto gradient = hn::MulAdd(decay, value, hn::Mul(load_some(d, g + i, left), scale));
    const auto moment = hn::MulAdd(momentum, load_some(d, m + i, left), gradient);
    const auto update = hn::MulAdd(hn::Add(look, history), moment, hn::Mul(own, gradient));
    store_some(d, moment, m + i, left);
    store_some(d, hn::NegMulAdd(rate, update, value), p + i, left);
  }
}

template <class T>
void lion(const Lion& o, std::int64_t n, T* p, const T* g, T* m) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d);
  const auto mix1 = hn::Set(d, static_cast<T>(1 - o.beta1)), mix2 = hn::Set(d, static_cast<T>(1 - o.beta2));
  const auto keep = hn::Set(d, static_cast<T>(1 - o.rate * o.decay)),
             rate = hn::Set(d, static_cast<T>(o.rate));
  const auto scale = hn::Set(d, static_cast<T>(o.gradient_scale)), zero = hn::Zero(d);
  for (std::int64_t i = 0; i < n; i += lanes) {
    const std::int64_t left = n - i;
    const auto moment = load_some(d, m + i, left);
    const auto change = hn::Sub(hn::Mul(load_some(d, g + i, left), scale), moment);
    const auto direction = hn::MulAdd(mix1, change, moment);
    const auto step = hn::IfThenZeroElse(hn::Eq(direction, zero), hn::CopySign(rate, direction));
    store_some(d, hn::MulAdd(mix2, change, moment), m + i, left);
    store_some(d, hn::MulSub(keep, load_some(d, p + i, left), step), p + i, left);
  }
}

template <class T>
T squares(std::int64_t n, const T* x) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d);
  auto a = hn::Zero(d), b = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const auto u = hn::LoadU(d, x + i), w = hn::LoadU(d, x + i + lanes);
    a = hn::MulAdd(u, u, a);
    b = hn::MulAdd(w, w, b);
  }
  for (; i < n; i += lanes) {
    const auto u = load_some(d, x + i, n - i);
    a = hn::MulAdd(u, u, a);
  }
  return sum_lanes(d, hn::Add(a, b));
}

template <class T>
OptimizerKernels<T> optimizer_kernels() {
  return {&adamw<T>, &sgd<T>, &lion<T>, &squares<T>};
}
OptimizerKernels<float> optimizer_float() { return optimizer_kernels<float>(); }
OptimizerKernels<double> optimizer_double() { return optimizer_kernels<double>(); }

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(optimizer_float);
HWY_EXPORT(optimizer_double);

template <class T>
static OptimizerKernels<T> optimizer() {
  if constexpr (sizeof(T) == 4)
    return HWY_DYNAMIC_DISPATCH(optimizer_float)();
  else
    return HWY_DYNAMIC_DISPATCH(optimizer_double)();
}

template <class T>
void adamw_step(const AdamW& options, std::int64_t n, T* p, const T* g, T* m, T* v) {
  const auto kernels = optimizer<T>();
  parallel_for(0, n, kOptimizerBlock, [&](std::int64_t i, std::int64_t last) {
    kernels.adamw(options, last - i, p + i, g + i, m + i, v + i);
  });
}

template <class T>
void sgd_step(const Sgd& options, std::int64_t n, T* p, const T* g, T* m) {
  const auto kernels = optimizer<T>();
  parallel_for(0, n, kOptimizerBlock, [&](std::int64_t i, std::int64_t last) {
    kernels.sgd(options, last - i, p + i, g + i, m + i);
  });
}

template <class T>
void lion_step(const Lion& options, std::int64_t n, T* p, const T* g, T* m) {
  const auto kernels = optimizer<T>();
  parallel_for(0, n, kOptimizerBlock, [&](std::int64_t i, std::int64_t last) {
    kernels.lion(options, last - i, p + i, g + i, m + i);
  });
}

template <class T>
double sum_of_squares(std::int64_t n, const T* x) {
  const auto kernels = optimizer<T>();
  const std::int64_t blocks = (n + kOptimizerBlock - 1) / kOptimizerBlock;
  std::vector<double> sums(static_cast<std::size_t>(blocks));
  parallel_for(0, blocks, 4, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i)
      sums[i] = kernels.squares(std::min(kOptimizerBlock, n - i * kOptimizerBlock), x + i * kOptimizerBlock);
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

template void adamw_step(const AdamW&, std::int64_t, float*, const float*, float*, float*);
template void adamw_step(const AdamW&, std::int64_t, double*, const double*, double*, double*);
template void sgd_step(const Sgd&, std::int64_t, float*, const float*, float*);
template void sgd_step(const Sgd&, std::int64_t, double*, const double*, double*);
template void lion_step(const Lion&, std::int64_t, float*, const float*, float*);
template void lion_step(const Lion&, std::int64_t, double*, const double*, double*);
template double sum_of_squares(std::int64_t, const float*);
template double sum_of_squares(std::int64_t, const double*);

}  // namespace formwork
#endif  // HWY_ONCE
