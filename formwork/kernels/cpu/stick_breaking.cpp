#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/stick_breaking.cpp"
#include "formwork/kernels/cpu/stick_breaking.h"

#include <ATen/Parallel.h>
#include <hwy/foreach_target.h>  // IWYU pragma: keep

#include "formwork/core/error.h"
#include "formwork/kernels/cpu/stick_breaking_inl.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace {

// Logits of `count` keys from `start` on to weights, nearest key first; rest [kRows] is the log of what
// remains.
template <class T>
void break_sticks(int64_t first, int64_t start, int64_t count, T* tile, T* rest) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<T> d;
  const int64_t lanes = hn::Lanes(d);
  for (int64_t r = 0; r < stick::kRows; r += lanes) {
    auto left = hn::LoadU(d, rest + r);
    for (int64_t j = count - 1; j >= 0; --j) {
      T* at = tile + j * stick::kRows + r;
      const auto l = hn::LoadU(d, at);
      const auto seen = stick::sees(d, first + r, start + j);
      const auto sp = stick::softplus(d, l);
      hn::StoreU(hn::IfThenElseZero(seen, hn::Exp(d, hn::Add(hn::Sub(l, sp), left))), d, at);
      left = hn::Sub(left, hn::IfThenElseZero(seen, sp));
    }
    hn::StoreU(left, d, rest + r);
  }
}

template <class T>
void forward_rows(const StickBreakingInput<T>& in, HeadView<T> out, int64_t b, int64_t h, int64_t first) {
  const stick::Head<T> head(in, b, h);
  std::vector<T> q(in.width * stick::kRows), o(in.width * stick::kRows, T(0)),
      tile(stick::kKeys * stick::kRows);
  std::vector<T> rest(stick::kRows, T(0));
  head.load_columns(in.q, first, in.scale, q.data());
  for (int64_t end = head.visible(first); end > 0;) {
    const int64_t start = (end - 1) / stick::kKeys * stick::kKeys, count = end - start;
    head.dot(head.key(start), in.k.token, q.data(), count, tile.data());
    break_sticks(first + in.offset, start, count, tile.data(), rest.data());
    head.gather(head.value(start), in.v.token, tile.data(), count, o.data());
    end = start;
  }
  for (int64_t r = 0; r < head.rows(first); ++r)
    for (int64_t c = 0; c < in.width; ++c) out.at(b, h, first + r)[c] = o[c * stick::kRows + r];
}

// One task is one tile of queries of one head.
template <class T>
void forward_tasks(const StickBreakingInput<T>& in, HeadView<T> out, int64_t begin, int64_t end) {
  const int64_t tiles = (in.queries + stick::kRows - 1) / stick::kRows;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t head = task / tiles;
    forward_rows(in, out, head / in.heads, head % in.heads, task % tiles * stick::kRows);
  }
}

void forward_f32(const StickBreakingInput<float>& in, HeadView<float> out, int64_t begin, int64_t end) {
  forward_tasks(in, out, begin, end);
}
void forward_f64(const StickBreakingInput<double>& in, HeadView<double> out, int64_t begin, int64_t end) {
  forward_tasks(in, out, begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(forward_f32);
HWY_EXPORT(forward_f64);

template <class T>
static void check(const StickBreakingInput<T>& in) {
  if (in.batch < 1 || in.queries < 1 || in.keys < 1 || in.width < 1)
    fail("stick-breaking: expected B, T, Tk, d >= 1, found {}, {}, {}, {}", in.batch, in.queries, in.keys,
         in.width);
  if (in.key_heads < 1 || in.heads < 1 || in.heads % in.key_heads != 0)
    fail("stick-breaking: expected query heads that are a multiple of the key heads, found {} and {}",
         in.heads, in.key_heads);
  for (int64_t b = 0; in.key_lengths && b < in.batch; ++b)
    if (in.key_lengths[b] < 0 || in.key_lengths[b] > in.keys)
      fail("stick-breaking: expected a key length in [0, {}], found {} in row {}", in.keys, in.key_lengths[b],
           b);
}

template <class T>
void stick_breaking_forward(const StickBreakingInput<T>& in, HeadView<T> out) {
  check(in);
  const int64_t tiles = (in.queries + 31) / 32;
  at::parallel_for(0, in.batch * in.heads * tiles, 1, [&](int64_t begin, int64_t end) {
    if constexpr (std::is_same_v<T, float>)
      HWY_DYNAMIC_DISPATCH(forward_f32)(in, out, begin, end);
    else
      HWY_DYNAMIC_DISPATCH(forward_f64)(in, out, begin, end);
  });
}

template void stick_breaking_forward(const StickBreakingInput<float>&, HeadView<float>);
template void stick_breaking_forward(const StickBreakingInput<double>&, HeadView<double>);

}  // namespace formwork
#endif
