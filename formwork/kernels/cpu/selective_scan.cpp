#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/selective_scan.cpp"
#include "formwork/kernels/cpu/selective_scan.h"

#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "formwork/core/error.h"
#include "formwork/kernels/cpu/parallel.h"
#include "formwork/kernels/cpu/selective_scan_inl.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

// One task: 64 channels of one sequence, states [N][64] in the first-level cache over the whole length.
inline constexpr int64_t kGroup = 64;

template <bool kZoh, class T>
struct GroupScan {
  const SelectiveScanInput<T>& in;
  int64_t b, first, count;
  std::vector<T> A, h;  // [N][kGroup]

  GroupScan(const SelectiveScanInput<T>& input, int64_t batch, int64_t group)
      : in(input),
        b(batch),
        first(group * kGroup),
        count(std::min(kGroup, in.channels - first)),
        A(in.states * kGroup),
        h(in.states * kGroup) {
    transpose_in(in.A + first * in.states, count, in.states, kGroup, A.data());
    if (in.h0)
      transpose_in(in.h0 + (b * in.channels + first) * in.states, count, in.states, kGroup, h.data());
  }

  void step(int64_t t, T* y) {
    const hn::ScalableTag<T> d;
    const int64_t lanes = hn::Lanes(d), row = (b * in.length + t) * in.channels + first;
    const T* B = in.B + (b * in.length + t) * in.states;
    const T* C = in.C + (b * in.length + t) * in.states;
    const bool live = !in.lengths || t < in.lengths[b];
    for (int64_t e = 0; e < count; e += lanes) {
      const int64_t left = count - e;
      const auto x = load_lanes(d, in.x + row + e, left);
      const auto delta = live ? load_lanes(d, in.delta + row + e, left) : hn::Zero(d);
      auto sum = in.D ? hn::Mul(x, load_lanes(d, in.D + first + e, left)) : hn::Zero(d);
      for (int64_t n = 0; n < in.states; ++n) {
        auto decay = hn::Zero(d), factor = hn::Zero(d);
        discretize<kZoh>(d, delta, hn::LoadU(d, &A[n * kGroup + e]), decay, factor);
        const auto input = hn::Mul(hn::Mul(factor, x), hn::Set(d, B[n]));
        const auto state = hn::MulAdd(decay, hn::LoadU(d, &h[n * kGroup + e]), input);
        hn::StoreU(state, d, &h[n * kGroup + e]);
        sum = hn::MulAdd(state, hn::Set(d, C[n]), sum);
      }
      if (in.z) {
        const auto z = load_lanes(d, in.z + row + e, left);
        sum = hn::Mul(sum, hn::Mul(z, sigmoid(d, z)));
      }
      store_lanes(sum, d, y + row + e, left);
    }
  }

  // Borders lie as [B, chunks, N, E] so that the backward reads lanes of channels.
  void save_border(int64_t chunk, T* borders) const {
    const int64_t chunks = (in.length + kSelectiveScanChunk - 1) / kSelectiveScanChunk;
    T* to = borders + (b * chunks + chunk) * in.states * in.channels + first;
    for (int64_t n = 0; n < in.states; ++n) std::copy_n(&h[n * kGroup], count, to + n * in.channels);
  }
};

template <bool kZoh, class T>
void scan_group(const SelectiveScanInput<T>& in, int64_t b, int64_t group, T* y, T* final_state, T* borders) {
  GroupScan<kZoh, T> scan(in, b, group);
  for (int64_t t = 0; t < in.length; ++t) {
    if (borders && t % kSelectiveScanChunk == 0) scan.save_border(t / kSelectiveScanChunk, borders);
    scan.step(t, y);
  }
  if (!final_state) return;
  T* to = final_state + (b * in.channels + scan.first) * in.states;
  transpose_out(scan.h.data(), scan.count, in.states, kGroup, to);
}

template <class T>
void scan_tasks(const SelectiveScanInput<T>& in, int64_t begin, int64_t end, T* y, T* final_state,
                T* borders) {
  const int64_t groups = (in.channels + kGroup - 1) / kGroup;
  const auto one = in.zoh ? scan_group<true, T> : scan_group<false, T>;
  for (int64_t task = begin; task < end; ++task)
    one(in, task / groups, task % groups, y, final_state, borders);
}

void scan_tasks_f32(const SelectiveScanInput<float>& in, int64_t begin, int64_t end, float* y,
                    float* final_state, float* borders) {
  scan_tasks(in, begin, end, y, final_state, borders);
}

void scan_tasks_f64(const SelectiveScanInput<double>& in, int64_t begin, int64_t end, double* y,
                    double* final_state, double* borders) {
  scan_tasks(in, begin, end, y, final_state, borders);
}

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(scan_tasks_f32);
HWY_EXPORT(scan_tasks_f64);

template <class T>
static void check(const SelectiveScanInput<T>& in) {
  if (in.batch < 1 || in.length < 1 || in.channels < 1 || in.states < 1)
    fail("selective scan: expected B, L, E, N >= 1, found {}, {}, {}, {}", in.batch, in.length, in.channels,
         in.states);
  if (!in.delta || !in.A || !in.B || !in.C || !in.x)
    fail("selective scan: expected arrays delta, A, B, C and x, found a null one");
  for (int64_t b = 0; in.lengths && b < in.batch; ++b)
    if (in.lengths[b] < 0 || in.lengths[b] > in.length)
      fail("selective scan: expected a length in [0, {}], found {} in row {}", in.length, in.lengths[b], b);
}

template <class T>
int64_t selective_scan_border_size(const SelectiveScanInput<T>& in) {
  const int64_t chunks = (in.length + kSelectiveScanChunk - 1) / kSelectiveScanChunk;
  return in.batch * chunks * in.channels * in.states;
}

template <class T>
void selective_scan_forward(const SelectiveScanInput<T>& in, T* y, T* final_state, T* borders) {
  check(in);
  // A step of decoding is too little work for a second thread: a range is worth about 16K numbers of state.
  const int64_t groups = (in.channels + 63) / 64, work = in.length * in.states * 64;
  const int64_t grain = std::max<int64_t>(1, 16384 / work);
  parallel_for(0, in.batch * groups, grain, [&](int64_t begin, int64_t end) {
    if constexpr (std::is_same_v<T, float>)
      HWY_DYNAMIC_DISPATCH(scan_tasks_f32)(in, begin, end, y, final_state, borders);
    else
      HWY_DYNAMIC_DISPATCH(scan_tasks_f64)(in, begin, end, y, final_state, borders);
  });
}

template int64_t selective_scan_border_size(const SelectiveScanInput<float>&);
template int64_t selective_scan_border_size(const SelectiveScanInput<double>&);
template void selective_scan_forward(const SelectiveScanInput<float>&, float*, float*, float*);
template void selective_scan_forward(const SelectiveScanInput<double>&, double*, double*, double*);

}  // namespace formwork
#endif
