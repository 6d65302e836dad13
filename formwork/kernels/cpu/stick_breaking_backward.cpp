#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/stick_breaking_backward.cpp"
#include <ATen/Parallel.h>
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "formwork/kernels/cpu/stick_breaking.h"
#include "formwork/kernels/cpu/stick_breaking_inl.h"

#ifndef FORMWORK_STICK_BREAKING_GRADIENTS
#define FORMWORK_STICK_BREAKING_GRADIENTS
namespace formwork {
template <class T>
struct StickBreakingGradients {
  HeadView<const T> output, d_output;
  HeadView<T> dq, dk, dv;
};
}  // namespace formwork
#endif

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace {

// With p_ij = a_ij (do_i . v_j): dl_ij = p_ij (1 - beta_ij) - beta_ij sum_{m < j} p_im. The sum over all keys
// is do_i . o_i, so that what lies beyond key j is known on the way from the nearest key backwards. logits
// becomes dl, and g (do . v) becomes a. beyond [kRows] starts as do . o.
template <class T>
void break_sticks_back(int64_t first, int64_t start, int64_t count, T* logits, T* g, T* rest, T* beyond) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<T> d;
  const int64_t lanes = hn::Lanes(d);
  for (int64_t r = 0; r < stick::kRows; r += lanes) {
    auto left = hn::LoadU(d, rest + r), older = hn::LoadU(d, beyond + r);
    for (int64_t j = count - 1; j >= 0; --j) {
      const int64_t at = j * stick::kRows + r;
      const auto l = hn::LoadU(d, logits + at);
      const auto seen = stick::sees(d, first + r, start + j);
      const auto sp = stick::softplus(d, l), log_beta = hn::Sub(l, sp);
      const auto beta = hn::Exp(d, log_beta), miss = hn::Exp(d, hn::Neg(sp));
      const auto a = hn::IfThenElseZero(seen, hn::Exp(d, hn::Add(log_beta, left)));
      const auto p = hn::Mul(a, hn::LoadU(d, g + at));
      older = hn::Sub(older, p);
      const auto dl = hn::Sub(hn::Mul(p, miss), hn::Mul(beta, older));
      hn::StoreU(hn::IfThenElseZero(seen, dl), d, logits + at);
      hn::StoreU(a, d, g + at);
      left = hn::Sub(left, hn::IfThenElseZero(seen, sp));
    }
    hn::StoreU(left, d, rest + r);
    hn::StoreU(older, d, beyond + r);
  }
}

// All gradients of one key head: its query heads one after the other, so that dk and dv need no locks.
template <class T>
class KeyHeadTask {
 public:
  KeyHeadTask(const StickBreakingInput<T>& in, const StickBreakingGradients<T>& out, int64_t b,
              int64_t key_head)
      : in_(in),
        out_(out),
        b_(b),
        key_head_(key_head),
        padded_((in.width + 7) / 8 * 8),
        dk_(in.keys * padded_),
        dv_(in.keys * padded_),
        q_(in.width * stick::kRows),
        d_out_(q_),
        dq_(q_),
        q_rows_(stick::kRows * padded_),
        d_out_rows_(q_rows_),
        logits_(stick::kKeys * stick::kRows),
        g_(logits_),
        rest_(stick::kRows),
        beyond_(stick::kRows) {}

  void run() {
    const int64_t group = in_.heads / in_.key_heads;
    for (int64_t h = key_head_ * group; h < (key_head_ + 1) * group; ++h)
      for (int64_t first = 0; first < in_.queries; first += stick::kRows) tile_of_rows({in_, b_, h}, first);
    write(dk_, out_.dk);
    write(dv_, out_.dv);
  }

 private:
  void tile_of_rows(const stick::Head<T>& head, int64_t first) {
    load(head, first);
    for (int64_t end = head.visible(first); end > 0;) {
      const int64_t start = (end - 1) / stick::kKeys * stick::kKeys, count = end - start;
      head.dot(head.key(start), in_.k.token, q_.data(), count, logits_.data());
      head.dot(head.value(start), in_.v.token, d_out_.data(), count, g_.data());
      break_sticks_back(first + in_.offset, start, count, logits_.data(), g_.data(), rest_.data(),
                        beyond_.data());
      head.gather(head.key(start), in_.k.token, logits_.data(), count, dq_.data());
      scatter(logits_.data(), q_rows_.data(), count, &dk_[start * padded_]);
      scatter(g_.data(), d_out_rows_.data(), count, &dv_[start * padded_]);
      end = start;
    }
    for (int64_t r = 0; r < head.rows(first); ++r)
      for (int64_t c = 0; c < in_.width; ++c)
        out_.dq.at(b_, head.h, first + r)[c] = dq_[c * stick::kRows + r] * in_.scale;
  }

  // The tile's queries and output gradients, as columns and as padded rows.
  void load(const stick::Head<T>& head, int64_t first) {
    head.load_columns(in_.q, first, in_.scale, q_.data());
    head.load_columns(out_.d_output, first, T(1), d_out_.data());
    for (auto* v : {&dq_, &q_rows_, &d_out_rows_, &rest_, &beyond_}) std::fill(v->begin(), v->end(), T(0));
    for (int64_t r = 0; r < head.rows(first); ++r) {
      const T* o = out_.output.at(b_, head.h, first + r);
      for (int64_t c = 0; c < in_.width; ++c) {
        q_rows_[r * padded_ + c] = q_[c * stick::kRows + r];
        d_out_rows_[r * padded_ + c] = d_out_[c * stick::kRows + r];
        beyond_[r] += o[c] * d_out_[c * stick::kRows + r];
      }
    }
  }

  // to [count][padded] += tile [count][kRows] rows [kRows][padded].
  void scatter(const T* tile, const T* rows, int64_t count, T* to) const {
    stick::add_product<T>({tile, stick::kRows, 1, rows, padded_, to, padded_}, count, padded_, stick::kRows);
  }

  void write(const std::vector<T>& from, HeadView<T> to) const {
    for (int64_t j = 0; j < in_.keys; ++j)
      std::copy_n(&from[j * padded_], in_.width, to.at(b_, key_head_, j));
  }

  const StickBreakingInput<T>& in_;
  const StickBreakingGradients<T>& out_;
  int64_t b_, key_head_, padded_;
  std::vector<T> dk_, dv_;              // [Tk][padded]
  std::vector<T> q_, d_out_, dq_;       // [d][kRows]
  std::vector<T> q_rows_, d_out_rows_;  // [kRows][padded]
  std::vector<T> logits_, g_;           // [kKeys][kRows]
  std::vector<T> rest_, beyond_;        // [kRows]
};

void backward_f32(const StickBreakingInput<float>& in, const StickBreakingGradients<float>& out,
                  int64_t task) {
  KeyHeadTask<float>(in, out, task / in.key_heads, task % in.key_heads).run();
}
void backward_f64(const StickBreakingInput<double>& in, const StickBreakingGradients<double>& out,
                  int64_t task) {
  KeyHeadTask<double>(in, out, task / in.key_heads, task % in.key_heads).run();
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(backward_f32);
HWY_EXPORT(backward_f64);

template <class T>
void stick_breaking_backward(const StickBreakingInput<T>& in, HeadView<const T> output,
                             HeadView<const T> d_output, HeadView<T> dq, HeadView<T> dk, HeadView<T> dv) {
  const StickBreakingGradients<T> out{output, d_output, dq, dk, dv};
  at::parallel_for(0, in.batch * in.key_heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      if constexpr (std::is_same_v<T, float>)
        HWY_DYNAMIC_DISPATCH(backward_f32)(in, out, task);
      else
        HWY_DYNAMIC_DISPATCH(backward_f64)(in, out, task);
    }
  });
}

template void stick_breaking_backward(const StickBreakingInput<float>&, HeadView<const float>,
                                      HeadView<const float>, HeadView<float>, HeadView<float>,
                                      HeadView<float>);
template void stick_breaking_backward(const StickBreakingInput<double>&, HeadView<const double>,
                                      HeadView<const double>, HeadView<double>, HeadView<double>,
                                      HeadView<double>);

}  // namespace formwork
#endif
