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
