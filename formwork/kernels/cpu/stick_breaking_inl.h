// Tiles of stick-breaking attention; included once per instruction set. Lanes are query rows, so that the
// suffix sums along the keys are plain vector additions from key to key.
#if defined(FORMWORK_STICK_BREAKING_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef FORMWORK_STICK_BREAKING_INL
#undef FORMWORK_STICK_BREAKING_INL
#else
#define FORMWORK_STICK_BREAKING_INL
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "formwork/kernels/cpu/stick_breaking.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace stick {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr int64_t kRows = 32;  // queries of a tile
inline constexpr int64_t kKeys = 64;  // keys of a tile

// A [m, k] read by strides, one scalar at a time; B [k, n] and C [m, n] with dense rows, n a multiple of 8.
template <class T>
struct Product {
  const T* a;
  int64_t a_row, a_column;
  const T* b;
  int64_t b_row;
  T* c;
  int64_t c_row;
};

template <int kHeight, class T>
HWY_INLINE void product_block(const Product<T>& p, int64_t i, int64_t j, int64_t depth) {
  const hn::CappedTag<T, 8> d;
  constexpr int64_t lanes = hn::MaxLanes(hn::CappedTag<T, 8>());
  constexpr int kVectors = 8 / lanes;
  hn::Vec<decltype(d)> sum[kHeight][kVectors];
  for (int r = 0; r < kHeight; ++r)
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::LoadU(d, p.c + (i + r) * p.c_row + j + v * lanes);
  for (int64_t k = 0; k < depth; ++k) {
    hn::Vec<decltype(d)> b[kVectors];
    for (int v = 0; v < kVectors; ++v) b[v] = hn::LoadU(d, p.b + k * p.b_row + j + v * lanes);
    for (int r = 0; r < kHeight; ++r) {
      const auto a = hn::Set(d, p.a[(i + r) * p.a_row + k * p.a_column]);
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(a, b[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kHeight; ++r)
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[r][v], d, p.c + (i + r) * p.c_row + j + v * lanes);
}

// C += A B.
template <class T>
void add_product(const Product<T>& p, int64_t m, int64_t n, int64_t depth) {
  for (int64_t j = 0; j < n; j += 8) {
    int64_t i = 0;
    for (; i + 8 <= m; i += 8) product_block<8>(p, i, j, depth);
    for (; i < m; ++i) product_block<1>(p, i, j, depth);
  }
}

// log(1 + exp(l)), safe for any l.
template <class D, class V>
HWY_INLINE V softplus(D d, V l) {
  return hn::Add(hn::Max(l, hn::Zero(d)), hn::Log1p(d, hn::Exp(d, hn::Neg(hn::Abs(l)))));
}

// One sequence and query head.
template <class T>
struct Head {
  const StickBreakingInput<T>& in;
  int64_t b, h, key_head, length;

  Head(const StickBreakingInput<T>& input, int64_t batch, int64_t head)
      : in(input),
        b(batch),
        h(head),
        key_head(head / (input.heads / input.key_heads)),
        length(input.key_lengths ? input.key_lengths[batch] : input.keys) {}

  int64_t padded() const { return (in.width + 7) / 8 * 8; }
  int64_t rows(int64_t first) const { return std::min(kRows, in.queries - first); }
  // Keys that any query of the tile at `first` sees.
  int64_t visible(int64_t first) const {
    return std::clamp<int64_t>(first + rows(first) + in.offset, 0, length);
  }
  const T* key(int64_t j) const { return in.k.at(b, key_head, j); }
  const T* value(int64_t j) const { return in.v.at(b, key_head, j); }

  // view rows [first, first + rows) times `factor` as columns: to [d][kRows]; padded rows are 0.
  void load_columns(HeadView<const T> view, int64_t first, T factor, T* to) const {
    std::fill_n(to, in.width * kRows, T(0));
    for (int64_t r = 0; r < rows(first); ++r) {
      const T* from = view.at(b, h, first + r);
      for (int64_t c = 0; c < in.width; ++c) to[c * kRows + r] = from[c] * factor;
    }
  }

  // tile [count][kRows] = matrix rows [0, count) times columns.
  void dot(const T* matrix, int64_t stride, const T* columns, int64_t count, T* tile) const {
    std::fill_n(tile, count * kRows, T(0));
    add_product<T>({matrix, stride, 1, columns, kRows, tile, kRows}, count, kRows, in.width);
  }

  // columns [d][kRows] += sum over keys of tile[key] matrix[key].
  void gather(const T* matrix, int64_t stride, const T* tile, int64_t count, T* columns) const {
    add_product<T>({matrix, 1, stride, tile, kRows, columns, kRows}, in.width, kRows, count);
  }
};

// Lanes whose query, at position `first` + lane, may see key j.
template <class D>
HWY_INLINE hn::Mask<D> sees(D d, int64_t first, int64_t j) {
  using T = hn::TFromD<D>;
  return hn::Ge(hn::Iota(d, T(0)), hn::Set(d, static_cast<T>(j - first)));
}

}  // namespace stick
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();
#endif
