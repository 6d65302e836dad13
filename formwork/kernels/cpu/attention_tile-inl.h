// Small matrix products and copies for attention's tiles, for one SIMD target.
#if defined(FORMWORK_KERNELS_CPU_ATTENTION_TILE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FORMWORK_KERNELS_CPU_ATTENTION_TILE_INL_H
#undef FORMWORK_KERNELS_CPU_ATTENTION_TILE_INL_H
#else
#define FORMWORK_KERNELS_CPU_ATTENTION_TILE_INL_H
#endif

#include "formwork/kernels/cpu/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {

// A matrix with both strides: a transposed operand is the same memory with its strides exchanged.
template <class T>
struct Operand {
  const T* data;
  std::int64_t row, column;
};

// C [rows, columns] (+)= A [rows, depth] B [depth, columns] with B and C dense along columns, on whole
// vectors.
template <class T>
struct Product {
  std::int64_t rows, columns, depth;
  Operand<T> a;
  const T* b;
  std::int64_t b_row;
  T* c;
  std::int64_t c_row;
};

// kRows x kVectors accumulators stay in registers over the whole depth.
template <bool kAdd, int kRows, int kVectors, class T>
HWY_INLINE void product_block(std::int64_t depth, Operand<T> a, const T* HWY_RESTRICT b, std::int64_t b_row,
                              T* HWY_RESTRICT c, std::int64_t c_row) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d);
  VecOf<decltype(d)> sums[kRows][kVectors];
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < kVectors; ++j) sums[i][j] = hn::Zero(d);
  for (std::int64_t k = 0; k < depth; ++k, a.data += a.column, b += b_row) {
    VecOf<decltype(d)> right[kVectors];
    for (int j = 0; j < kVectors; ++j) right[j] = hn::Load(d, b + j * lanes);
    for (int i = 0; i < kRows; ++i) {
      const auto left = hn::Set(d, a.data[i * a.row]);
      for (int j = 0; j < kVectors; ++j) sums[i][j] = hn::MulAdd(left, right[j], sums[i][j]);
    }
  }
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < kVectors; ++j) {
      T* out = c + i * c_row + j * lanes;
      hn::Store(kAdd ? hn::Add(sums[i][j], hn::Load(d, out)) : sums[i][j], d, out);
    }
}

template <bool kAdd, int kVectors, class T>
HWY_NOINLINE void product_columns(const Product<T>& p, std::int64_t column) {
  const T* b = p.b + column;
  std::int64_t i = 0;
  const auto block = [&]<int kRows>() HWY_ATTR {
    product_block<kAdd, kRows, kVectors, T>(p.depth, {p.a.data + i * p.a.row, p.a.row, p.a.column}, b,
                                            p.b_row, p.c + i * p.c_row + column, p.c_row);
    i += kRows;
  };
  // As many sums as hide the latency of an addition, and no more than there are registers for.
  if constexpr (HWY_TARGET <= HWY_AVX3)
    while (i + 16 / kVectors <= p.rows) block.template operator()<16 / kVectors>();
  while (i + 6 <= p.rows) block.template operator()<6>();
  if (i + 4 <= p.rows) block.template operator()<4>();
  if (i + 2 <= p.rows) block.template operator()<2>();
  if (i < p.rows) block.template operator()<1>();
}

// columns is a multiple of the lanes.
template <bool kAdd, class T>
void product(const Product<T>& p) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d);
  std::int64_t column = 0;
  for (; column + 2 * lanes <= p.columns; column += 2 * lanes) product_columns<kAdd, 2, T>(p, column);
  if (column < p.columns) product_columns<kAdd, 1, T>(p, column);
}

// Four floats of each of lanes / 4 rows that lie `step` apart, as the blocks of one vector.
template <class D>
HWY_INLINE VecOf<D> load_blocks(D d, const float* from, std::int64_t step) {
  if constexpr (hn::MaxLanes(D()) <= 4) {
    return hn::LoadU(d, from);
  } else {
    const hn::Half<D> half;
    constexpr std::int64_t kBlocks = hn::MaxLanes(D()) / 8;
    return hn::Combine(d, load_blocks(half, from + kBlocks * step, step), load_blocks(half, from, step));
  }
}

// Four columns of as many rows as there are lanes, transposed.
template <class D>
HWY_INLINE void transpose_four(D d, const float* from, std::int64_t token, float* to, std::int64_t stride) {
  const hn::Repartition<double, D> pairs;
  const auto join = [&](auto low, auto high) HWY_ATTR {
    const auto a = hn::BitCast(pairs, low), b = hn::BitCast(pairs, high);
    return std::pair{hn::BitCast(d, hn::InterleaveLower(pairs, a, b)),
                     hn::BitCast(d, hn::InterleaveUpper(pairs, a, b))};
  };
  const auto a = load_blocks(d, from, 4 * token), b = load_blocks(d, from + token, 4 * token);
  const auto c = load_blocks(d, from + 2 * token, 4 * token), e = load_blocks(d, from + 3 * token, 4 * token);
  const auto [first, second] = join(hn::InterleaveLower(d, a, b), hn::InterleaveLower(d, c, e));
  const auto [third, fourth] = join(hn::InterleaveUpper(d, a, b), hn::InterleaveUpper(d, c, e));
  hn::StoreU(first, d, to);
  hn::StoreU(second, d, to + stride);
  hn::StoreU(third, d, to + 2 * stride);
  hn::StoreU(fourth, d, to + 3 * stride);
}

// to [columns, stride] = from [rows, columns] transposed; the rest of each row, up to padded(rows), is 0.
template <class T>
void pack_transposed(std::int64_t rows, std::int64_t columns, const T* from, std::int64_t token, T* to,
                     std::int64_t stride) {
  std::int64_t r = 0;
  if constexpr (sizeof(T) == 4 && !HWY_HAVE_SCALABLE) {
    const hn::ScalableTag<T> d;
    const std::int64_t lanes = hn::Lanes(d), whole = columns / 4 * 4;
    for (; r + lanes <= rows; r += lanes) {
      const T* source = from + r * token;
      for (std::int64_t c = 0; c < whole; c += 4)
        transpose_four(d, source + c, token, to + c * stride + r, stride);
      for (std::int64_t c = whole; c < columns; ++c)
        for (std::int64_t i = 0; i < lanes; ++i) to[c * stride + r + i] = source[i * token + c];
    }
  }
  for (; r + 8 <= rows; r += 8) {
    const T* source = from + r * token;
    for (std::int64_t c = 0; c < columns; ++c)
      for (std::int64_t i = 0; i < 8; ++i) to[c * stride + r + i] = source[i * token + c];
  }
  for (; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) to[c * stride + r] = from[r * token + c];
  for (std::int64_t c = 0; c < columns; ++c)
    for (r = rows; r < padded(rows); ++r) to[c * stride + r] = 0;
}

// to [rows, padded(columns)] = factor * from [rows, columns], padded with 0.
template <class T>
void pack_rows(std::int64_t rows, std::int64_t columns, const T* from, std::int64_t token, T factor, T* to) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d), stride = padded(columns);
  const auto times = hn::Set(d, factor);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < stride; c += lanes) {
      const auto v = c < columns ? load_some(d, from + r * token + c, columns - c) : hn::Zero(d);
      hn::Store(hn::Mul(v, times), d, to + r * stride + c);
    }
}

// to [rows, columns] = factor * from [rows, padded(columns)].
template <class T>
void unpack_rows(std::int64_t rows, std::int64_t columns, const T* from, T factor, T* to,
                 std::int64_t token) {
  const hn::ScalableTag<T> d;
  const std::int64_t lanes = hn::Lanes(d), stride = padded(columns);
  const auto times = hn::Set(d, factor);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; c += lanes)
      store_some(d, hn::Mul(hn::Load(d, from + r * stride + c), times), to + r * token + c, columns - c);
}

}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#endif  // FORMWORK_KERNELS_CPU_ATTENTION_TILE_INL_H
