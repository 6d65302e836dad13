// float32 products on AMX tiles beside LibTorch's, in turns: GFLOP/s (medians) and the largest error of each
// in units of 2^-24 |a| |b|. bench_float_product [repeats] [threads]
#include "formwork/kernels/cpu/float_product.h"

#include <ATen/Parallel.h>

#include <cstdlib>

#include "timing.h"

namespace formwork {
namespace {

double error_of(const at::Tensor& c, const at::Tensor& a, const at::Tensor& b) {
  const auto wide = [](const at::Tensor& x) {
    return x.narrow(0, 0, std::min<int64_t>(64, x.size(0))).to(at::kDouble);
  };
  const auto found =
      c.narrow(0, 0, std::min<int64_t>(64, a.size(0))).narrow(1, 0, std::min<int64_t>(64, b.size(0)));
  return ((found - wide(a).matmul(wide(b).t())).abs() / wide(a).abs().matmul(wide(b).abs().t()))
             .max()
             .item<double>() *
         0x1p24;
}

void measure(int64_t rows, int64_t outputs, int64_t inner, int repeats) {
  const auto a = at::randn({rows, inner}), b = at::randn({outputs, inner});
  auto ours = at::empty({rows, outputs}), theirs = at::empty({rows, outputs});
  std::vector<double> fast, plain;
  for (int i = 0; i < repeats; ++i) {
    fast.push_back(seconds([&] {
      float_product({{a.const_data_ptr<float>(), rows, inner},
                     {b.const_data_ptr<float>(), outputs, inner},
                     inner,
                     ours.mutable_data_ptr<float>(),
                     outputs});
    }));
    plain.push_back(seconds([&] { at::mm_out(theirs, a, b.t()); }));
  }
  const double flops =
      2e-9 * static_cast<double>(rows) * static_cast<double>(outputs) * static_cast<double>(inner);
  fmt::print(
      "{:>5} x {:>5} x {:>5}  ours {:6.1f} GFLOP/s, error {:.1f}  LibTorch {:6.1f}, {:.1f}  ratio {:.2f}\n",
      rows, outputs, inner, flops / median(fast), error_of(ours, a, b), flops / median(plain),
      error_of(theirs, a, b), median(plain) / median(fast));
}

}  // namespace
}  // namespace formwork

int main(int count, char** words) {
  const int repeats = count > 1 ? std::atoi(words[1]) : 9;
  if (count > 2) at::set_num_threads(std::atoi(words[2]));
  for (const auto& [rows, outputs, inner] : std::vector<std::array<int64_t, 3>>{{32, 288, 288},
                                                                                {128, 864, 288},
                                                                                {128, 2304, 768},
                                                                                {128, 768, 2048},
                                                                                {1024, 2304, 768},
                                                                                {2048, 192, 64},
                                                                                {2048, 64, 176},
                                                                                {2048, 1376, 512},
                                                                                {2048, 8192, 512}})
    formwork::measure(rows, outputs, inner, repeats);
}
