#include "formwork/kernels/cpu/few_rows.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "compare.h"
#include "kernels/every_target.h"

namespace formwork {
namespace {

at::Tensor product(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  const auto y = at::empty({x.size(0), w.size(0)}, x.options());
  few_rows_linear(x.size(0), x.size(1), w.size(0), raw<float>(x), raw<float>(w),
                  bias.defined() ? raw<float>(bias) : nullptr, raw<float>(y));
  return y;
}

TEST(FewRows, AgreesWithAMatrixProduct) {
  at::manual_seed(1);
  for_every_target([] {
    for (int64_t rows = 1; rows <= kFewRows; ++rows)
      for (auto [in, out] : {std::pair{1, 1}, {7, 3}, {64, 33}, {100, 256}}) {
        const auto x = at::randn({rows, in}), w = at::randn({out, in}), bias = at::randn({out});
        expect_near<float>(product(x, w, {}), at::linear(x.to(at::kDouble), w.to(at::kDouble)), "y");
        expect_near<float>(product(x, w, bias),
                           at::linear(x.to(at::kDouble), w.to(at::kDouble), bias.to(at::kDouble)),
                           "y with bias");
      }
  });
}

TEST(FewRows, ARowDoesNotDependOnItsNeighbours) {
  at::manual_seed(2);
  for_every_target([] {
    const auto x = at::randn({11, 77}), w = at::randn({50, 77}), all = product(x, w, {});
    for (int64_t rows = 1; rows <= 11; ++rows)
      EXPECT_TRUE(product(x.narrow(0, 11 - rows, rows), w, {}).equal(all.narrow(0, 11 - rows, rows))) << rows;
  });
}

TEST(RowsProduct, TakesNarrowWeightsStridesAndAddsUp) {
  at::manual_seed(4);
  for_every_target([] {
    for (const auto& [type, stored] : {std::pair{WeightType::float32, at::kFloat},
                                       {WeightType::bfloat16, at::kBFloat16},
                                       {WeightType::float16, at::kHalf}})
      for (auto [rows, in, out] : {std::tuple{1, 7, 5}, {3, 33, 18}, {37, 130, 61}}) {
        const auto x = at::randn({rows, in + 3}), w = at::randn({out, in}).to(stored),
                   bias = at::randn({out});
        const auto y = at::randn({rows, out + 2}), before = y.clone();
        RowsProduct call{rows, in, out, raw<float>(x), in + 3, w.const_data_ptr(), type, raw<float>(bias)};
        call.y = raw<float>(y), call.y_stride = out + 2, call.add = true;
        rows_product(call);
        const auto wide = w.to(at::kDouble), part = x.narrow(1, 0, in).to(at::kDouble);
        const auto expected =
            before.to(at::kDouble).narrow(1, 0, out) + at::linear(part, wide, bias.to(at::kDouble));
        expect_near<float>(y.narrow(1, 0, out), expected, "y");
        EXPECT_TRUE(y.narrow(1, out, 2).equal(before.narrow(1, out, 2))) << "written beyond a row";
        auto value = at::empty({in}, at::kFloat);
        widen(type, in, w.const_data_ptr(), raw<float>(value));
        EXPECT_TRUE(value.equal(w[0].to(at::kFloat)));
      }
  });
}

// More inputs than the first cache holds rows of, more outputs than pass over them at once.
TEST(FewRows, ARowOfAPromptIsWhatItIsAlone) {
  at::manual_seed(5);
  for_every_target([] {
    const auto x = at::randn({35, 1301}), w = at::randn({59, 1301}), bias = at::randn({59});
    const auto all = product(x, w, bias);
    expect_near<float>(all, at::linear(x.to(at::kDouble), w.to(at::kDouble), bias.to(at::kDouble)), "y");
    for (int64_t row = 0; row < 35; ++row)
      EXPECT_TRUE(product(x.narrow(0, row, 1), w, bias).equal(all.narrow(0, row, 1))) << row;
  });
}

// Several tasks, whatever thread takes them.
TEST(FewRows, TwoThreadsGiveWhatOneGives) {
  at::manual_seed(3);
  const auto x = at::randn({3, 700}), w = at::randn({400, 700});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto alone = product(x, w, {});
  at::set_num_threads(2);
  EXPECT_TRUE(product(x, w, {}).equal(alone));
  at::set_num_threads(before);
}

}  // namespace
}  // namespace formwork
