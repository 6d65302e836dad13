#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/selective_scan_backward.cpp"
#include <ATen/Parallel.h>
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "formwork/kernels/cpu/selective_scan.h"
#include "formwork/kernels/cpu/selective_scan_inl.h"

#ifndef FORMWORK_SELECTIVE_SCAN_TASK
#define FORMWORK_SELECTIVE_SCAN_TASK
namespace formwork {
// Channels of one task. Fixed, so that sums over channels have one order whatever the number of threads.
inline constexpr int64_t kScanTaskChannels = 256;

// Sums over B (A, D) and over channel groups (B, C) are made from these after the tasks.
template <class T>
struct ScanPartials {
  std::vector<T> A;     // [B, E, N]
  std::vector<T> D;     // [B, E]
  std::vector<T> B, C;  // [B, groups, L, N]
};
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

template <bool kZoh, class T>
class BackwardTask {
 public:
  BackwardTask(const SelectiveScanInput<T>& in, const T* borders, const T* dy, const T* d_final,
               const SelectiveScanGradients<T>& out, ScanPartials<T>& partials, int64_t task)
      : in_(in), borders_(borders), dy_(dy), out_(out), partials_(partials) {
    const int64_t groups = (in.channels + kScanTaskChannels - 1) / kScanTaskChannels;
    b_ = task / groups;
    task_ = task;
    first_ = task % groups * kScanTaskChannels;
    const int64_t count = std::min(kScanTaskChannels, in.channels - first_);
    blocks_ = (count + lanes_ - 1) / lanes_;
    const int64_t step = in.states * lanes_;
    A_.resize(blocks_ * step);
    dA_.resize(blocks_ * step);
    dD_.resize(blocks_ * lanes_);
    adjoint_.resize(blocks_ * step);
    states_.resize((kSelectiveScanChunk + 1) * step);
    decays_.resize(kSelectiveScanChunk * step);
    dB_.resize(kSelectiveScanChunk * step);
    dC_.resize(kSelectiveScanChunk * step);
    for (int64_t k = 0; k < blocks_; ++k) {
      const int64_t e = first_ + k * lanes_;
      transpose_in(in.A + e * in.states, width(k), in.states, lanes_, &A_[k * step]);
      if (d_final)
        transpose_in(d_final + (b_ * in.channels + e) * in.states, width(k), in.states, lanes_,
                     &adjoint_[k * step]);
    }
  }

  // Chunks from the last to the first; inside one, every block of channels.
  void run() {
    const int64_t chunks = (in_.length + kSelectiveScanChunk - 1) / kSelectiveScanChunk;
    for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
      const int64_t begin = chunk * kSelectiveScanChunk;
      const int64_t end = std::min(begin + kSelectiveScanChunk, in_.length);
      std::fill(dB_.begin(), dB_.end(), T(0));
      std::fill(dC_.begin(), dC_.end(), T(0));
      for (int64_t k = 0; k < blocks_; ++k) {
        recompute(k, chunk, begin, end);
        for (int64_t t = end - 1; t >= begin; --t) step_back(k, t, t - begin);
      }
      reduce(begin, end);
    }
    finish();
  }

 private:
  using Tag = hn::ScalableTag<T>;
  using V = hn::Vec<Tag>;

  int64_t width(int64_t k) const { return std::min<int64_t>(lanes_, in_.channels - first_ - k * lanes_); }
  int64_t at(int64_t k, int64_t t) const {
    return (b_ * in_.length + t) * in_.channels + first_ + k * lanes_;
  }
  bool live(int64_t t) const { return !in_.lengths || t < in_.lengths[b_]; }
  V delta(int64_t k, int64_t t) const {
    return live(t) ? load_lanes(d_, in_.delta + at(k, t), width(k)) : hn::Zero(d_);
  }

  void recompute(int64_t k, int64_t chunk, int64_t begin, int64_t end) {
    const int64_t chunks = (in_.length + kSelectiveScanChunk - 1) / kSelectiveScanChunk,
                  step = in_.states * lanes_;
    const T* border = borders_ + (b_ * chunks + chunk) * in_.states * in_.channels + first_ + k * lanes_;
    for (int64_t n = 0; n < in_.states; ++n)
      hn::StoreU(load_lanes(d_, border + n * in_.channels, width(k)), d_, &states_[n * lanes_]);
    for (int64_t t = begin; t < end; ++t) {
      const V x = load_lanes(d_, in_.x + at(k, t), width(k)), dt = delta(k, t);
      const T* B = in_.B + (b_ * in_.length + t) * in_.states;
      T* before = &states_[(t - begin) * step];
      for (int64_t n = 0; n < in_.states; ++n) {
        V decay, factor;
        discretize<kZoh>(d_, dt, hn::LoadU(d_, &A_[k * step + n * lanes_]), decay, factor);
        hn::StoreU(decay, d_, &decays_[(t - begin) * step + n * lanes_]);
        const V input = hn::Mul(hn::Mul(factor, x), hn::Set(d_, B[n]));
        hn::StoreU(hn::MulAdd(decay, hn::LoadU(d_, before + n * lanes_), input), d_,
                   before + step + n * lanes_);
      }
    }
  }

  // Gradient that reaches the ungated output; writes dz.
  V through_gate(int64_t k, int64_t t, V x, V skip, const T* state, const T* C) {
    V g = load_lanes(d_, dy_ + at(k, t), width(k));
    if (!in_.z) return g;
    const V z = load_lanes(d_, in_.z + at(k, t), width(k)), s = sigmoid(d_, z), one = hn::Set(d_, 1);
    if (out_.z) {
      V y = hn::Mul(x, skip);
      for (int64_t n = 0; n < in_.states; ++n)
        y = hn::MulAdd(hn::LoadU(d_, state + n * lanes_), hn::Set(d_, C[n]), y);
      const V slope = hn::Mul(s, hn::MulAdd(z, hn::Sub(one, s), one));
      store_lanes(hn::Mul(hn::Mul(g, y), slope), d_, out_.z + at(k, t), width(k));
    }
    return hn::Mul(g, hn::Mul(z, s));
  }

  void step_back(int64_t k, int64_t t, int64_t local) {
    const int64_t step = in_.states * lanes_;
    const T* B = in_.B + (b_ * in_.length + t) * in_.states;
    const T* C = in_.C + (b_ * in_.length + t) * in_.states;
    const V x = load_lanes(d_, in_.x + at(k, t), width(k)), dt = delta(k, t);
    const V skip = in_.D ? load_lanes(d_, in_.D + first_ + k * lanes_, width(k)) : hn::Zero(d_);
    const T* before = &states_[local * step];
    const V g = through_gate(k, t, x, skip, before + step, C);
    V d_delta = hn::Zero(d_), d_x = hn::Mul(g, skip);
    for (int64_t n = 0; n < in_.states; ++n) {
      const int64_t i = n * lanes_;
      T* dA = &dA_[k * step + i];
      T* adjoint = &adjoint_[k * step + i];
      T* dB = &dB_[local * step + i];
      T* dC = &dC_[local * step + i];
      const V A = hn::LoadU(d_, &A_[k * step + i]), decay = hn::LoadU(d_, &decays_[local * step + i]);
      const V b = hn::Set(d_, B[n]);
      const V gh = hn::MulAdd(g, hn::Set(d_, C[n]), hn::LoadU(d_, adjoint));
      hn::StoreU(hn::MulAdd(g, hn::LoadU(d_, before + step + i), hn::LoadU(d_, dC)), d_, dC);
      const V d_product = hn::Mul(hn::Mul(gh, hn::LoadU(d_, before + i)), decay);
      const V d_factor = hn::Mul(hn::Mul(gh, b), x);
      V factor = dt;
      d_delta = hn::MulAdd(d_product, A, d_delta);
      V slope_A = hn::Mul(d_product, dt);
      if constexpr (kZoh) {
        V unused;
        discretize<true>(d_, dt, A, unused, factor);
        d_delta = hn::MulAdd(d_factor, decay, d_delta);
        slope_A = hn::MulAdd(d_factor, hold_slope(d_, dt, A, decay, factor), slope_A);
      } else {
        d_delta = hn::Add(d_delta, d_factor);
      }
      hn::StoreU(hn::Add(hn::LoadU(d_, dA), slope_A), d_, dA);
      const V scaled = hn::Mul(gh, factor);
      hn::StoreU(hn::MulAdd(scaled, x, hn::LoadU(d_, dB)), d_, dB);
      d_x = hn::MulAdd(scaled, b, d_x);
      hn::StoreU(hn::Mul(gh, decay), d_, adjoint);
    }
    hn::StoreU(hn::MulAdd(g, x, hn::LoadU(d_, &dD_[k * lanes_])), d_, &dD_[k * lanes_]);
    if (out_.x) store_lanes(d_x, d_, out_.x + at(k, t), width(k));
    if (out_.delta) store_lanes(live(t) ? d_delta : hn::Zero(d_), d_, out_.delta + at(k, t), width(k));
  }

  // Sums the lanes of the chunk's dB and dC.
  void reduce(int64_t begin, int64_t end) {
    for (int64_t i = 0; i < (end - begin) * in_.states; ++i) {
      const int64_t to = (task_ * in_.length + begin) * in_.states + i;
      partials_.B[to] = hn::GetLane(hn::SumOfLanes(d_, hn::LoadU(d_, &dB_[i * lanes_])));
      partials_.C[to] = hn::GetLane(hn::SumOfLanes(d_, hn::LoadU(d_, &dC_[i * lanes_])));
    }
  }

  void finish() {
    const int64_t step = in_.states * lanes_;
    for (int64_t k = 0; k < blocks_; ++k) {
      const int64_t e = b_ * in_.channels + first_ + k * lanes_;
      transpose_out(&dA_[k * step], width(k), in_.states, lanes_, &partials_.A[e * in_.states]);
      std::copy_n(&dD_[k * lanes_], width(k), &partials_.D[e]);
      if (out_.h0) transpose_out(&adjoint_[k * step], width(k), in_.states, lanes_, out_.h0 + e * in_.states);
    }
  }

  const Tag d_{};
  const int64_t lanes_ = hn::Lanes(Tag());
  const SelectiveScanInput<T>& in_;
  const T* borders_;
  const T* dy_;
  const SelectiveScanGradients<T>& out_;
  ScanPartials<T>& partials_;
  int64_t task_ = 0, b_ = 0, first_ = 0, blocks_ = 0;
  std::vector<T> A_, dA_, dD_, adjoint_;      // [blocks][N][lanes]; dD [blocks][lanes]
  std::vector<T> states_, decays_, dB_, dC_;  // [chunk][N][lanes]; states from the border on
};

template <class T>
void back_task(const SelectiveScanInput<T>& in, const T* borders, const T* dy, const T* d_final,
               const SelectiveScanGradients<T>& out, ScanPartials<T>& partials, int64_t task) {
  if (in.zoh)
    BackwardTask<true, T>(in, borders, dy, d_final, out, partials, task).run();
  else
    BackwardTask<false, T>(in, borders, dy, d_final, out, partials, task).run();
}

void back_task_f32(const SelectiveScanInput<float>& in, const float* borders, const float* dy,
                   const float* d_final, const SelectiveScanGradients<float>& out,
                   ScanPartials<float>& partials, int64_t task) {
  back_task(in, borders, dy, d_final, out, partials, task);
}

void back_task_f64(const SelectiveScanInput<double>& in, const double* borders, const double* dy,
                   const double* d_final, const SelectiveScanGradients<double>& out,
                   ScanPartials<double>& partials, int64_t task) {
  back_task(in, borders, dy, d_final, out, partials, task);
}

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(back_task_f32);
HWY_EXPORT(back_task_f64);

// to[outer][inner] = sum over the middle axis of from [outer, count, inner].
template <class T>
static void sum_middle(const std::vector<T>& from, int64_t outer, int64_t count, int64_t inner, T* to) {
  if (!to) return;
  std::fill_n(to, outer * inner, T(0));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t c = 0; c < count; ++c)
      for (int64_t i = 0; i < inner; ++i) to[o * inner + i] += from[(o * count + c) * inner + i];
}

template <class T>
void selective_scan_backward(const SelectiveScanInput<T>& in, const T* borders, const T* dy, const T* d_final,
                             const SelectiveScanGradients<T>& out) {
  const int64_t groups = (in.channels + kScanTaskChannels - 1) / kScanTaskChannels;
  ScanPartials<T> partials;
  partials.A.resize(in.batch * in.channels * in.states);
  partials.D.resize(in.batch * in.channels);
  partials.B.resize(in.batch * groups * in.length * in.states);
  partials.C.resize(partials.B.size());
  at::parallel_for(0, in.batch * groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      if constexpr (std::is_same_v<T, float>)
        HWY_DYNAMIC_DISPATCH(back_task_f32)(in, borders, dy, d_final, out, partials, task);
      else
        HWY_DYNAMIC_DISPATCH(back_task_f64)(in, borders, dy, d_final, out, partials, task);
    }
  });
  sum_middle(partials.A, 1, in.batch, in.channels * in.states, out.A);
  sum_middle(partials.D, 1, in.batch, in.channels, out.D);
  sum_middle(partials.B, in.batch, groups, in.length * in.states, out.B);
  sum_middle(partials.C, in.batch, groups, in.length * in.states, out.C);
}

template void selective_scan_backward(const SelectiveScanInput<float>&, const float*, const float*,
                                      const float*, const SelectiveScanGradients<float>&);
template void selective_scan_backward(const SelectiveScanInput<double>&, const double*, const double*,
                                      const double*, const SelectiveScanGradients<double>&);

}  // namespace formwork
#endif
