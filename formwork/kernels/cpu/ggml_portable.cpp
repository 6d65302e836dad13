// The product with quantized blocks on every processor: groups are unpacked to signed bytes and multiplied
// in 16 bits. The order of the sums is that of the VNNI kernel: four partial sums over every fourth block.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formwork/kernels/cpu/ggml_portable.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "formwork/kernels/cpu/ggml_rows.h"

HWY_BEFORE_NAMESPACE();
namespace formwork {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// Rows of x that share the unpacking of W.
constexpr int kRows = 4;

using D32 = hn::RepartitionToWide<hn::CappedTag<std::int16_t, 16>>;

// Adds 16 products of codes to the lanes.
HWY_INLINE hn::Vec<D32> add_products(const std::int8_t* a, const std::int8_t* b, hn::Vec<D32> sums) {
  const hn::CappedTag<std::int16_t, 16> d16;
  const hn::Rebind<std::int8_t, decltype(d16)> d8;
  auto odd = hn::Zero(D32());
  for (size_t i = 0; i < 16; i += hn::Lanes(d16))
    sums = hn::ReorderWidenMulAccumulate(D32(), hn::PromoteTo(d16, hn::LoadU(d8, a + i)),
                                         hn::PromoteTo(d16, hn::LoadU(d8, b + i)), sums, odd);
  return hn::Add(sums, odd);
}

HWY_INLINE std::int32_t block_sum(const GgmlCodes& w, const GgmlInputs& x, int block) {
  const D32 d;
  auto sums = hn::Mul(hn::Set(d, w.factor[0][block]),
                      add_products(w.codes[0][block], x.codes[0][block], hn::Zero(d)));
  if (w.factor[1][block] == 1)
    sums = add_products(w.codes[1][block], x.codes[1][block], sums);
  else
    sums = hn::Add(sums, hn::Mul(hn::Set(d, w.factor[1][block]),
                                 add_products(w.codes[1][block], x.codes[1][block], hn::Zero(d))));
  return hn::GetLane(hn::SumOfLanes(d, sums));
}

// Four sums of blocks, one for each place in a group: products and minima apart.
struct Sums {
  float product[4] = {}, min[4] = {};
  float total() const {
    return ((product[0] + min[0]) + (product[1] + min[1])) + ((product[2] + min[2]) + (product[3] + min[3]));
  }
};

HWY_INLINE void add_group(const GgmlCodes& w, const GgmlInputs& x, Sums& to) {
  const hn::FixedTag<float, 4> d;
  const hn::RebindToSigned<decltype(d)> d32;
  HWY_ALIGN std::int32_t sums[4];
  for (int block = 0; block < 4; ++block) sums[block] = block_sum(w, x, block);
  HWY_ALIGN float x_scale[4], x_sum[4];
  for (int block = 0; block < 4; ++block)
    x_scale[block] = x.scale[4 * block], x_sum[block] = x.sum[4 * block];
  const auto scale = hn::Mul(hn::LoadU(d, w.scale), hn::Load(d, x_scale));
  hn::StoreU(hn::MulAdd(hn::ConvertTo(d, hn::Load(d32, sums)), scale, hn::LoadU(d, to.product)), d,
             to.product);
  hn::StoreU(hn::MulAdd(hn::LoadU(d, w.min), hn::Load(d, x_sum), hn::LoadU(d, to.min)), d, to.min);
}

void multiply(const GgmlProduct& p, std::int64_t first, std::int64_t last) {
  const std::int64_t bytes = p.w.row_bytes();
  GgmlCodes codes;
  for (std::int64_t o = first; o < last; ++o)
    for (std::int64_t n = 0; n < p.rows; n += kRows) {
      const std::int64_t rows = p.rows - n < kRows ? p.rows - n : kRows;
      Sums sums[kRows];
      for (std::int64_t g = 0; g < p.groups; ++g) {
        ggml_unpack(p.w.type, p.w.blocks + o * bytes, p.w.inputs, g, codes);
        for (std::int64_t r = 0; r < rows; ++r) add_group(codes, p.x[(n + r) * p.groups + g], sums[r]);
      }
      for (std::int64_t r = 0; r < rows; ++r)
        p.y[(n + r) * p.w.outputs + o] = sums[r].total() + (p.bias ? p.bias[o] : 0.0f);
    }
}

GgmlKernel kernel() { return &multiply; }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace formwork
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace formwork {

HWY_EXPORT(kernel);

GgmlKernel ggml_portable_kernel() { return HWY_DYNAMIC_DISPATCH(kernel)(); }

}  // namespace formwork
#endif
