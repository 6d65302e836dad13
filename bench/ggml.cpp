// Products of few rows with weights in ggml's blocks: GB of weights a second beside a loop that only reads
// them and beside the float32 kernel on as many weights, interleaved; then each kernel that this processor
// has. bench_ggml [repeats] [threads]
#include <ATen/Parallel.h>

#include <cstdlib>
#include <numeric>

#include "formwork/kernels/cpu/few_rows.h"
#include "formwork/kernels/cpu/ggml_rows.h"
#include "formwork/kernels/cpu/parallel.h"
#include "timing.h"

namespace formwork {
namespace {

// Keeps the sums of the reading loop.
volatile uint64_t sink;

void read_all(const uint8_t* bytes, int64_t count) {
  parallel_for(0, count / 512, 256, [&](int64_t first, int64_t last) {
    uint64_t sums[8] = {};
    const auto* words = reinterpret_cast<const uint64_t*>(bytes) + first * 64;
    for (int64_t i = 0; i < (last - first) * 64; i += 8)
      for (int64_t j = 0; j < 8; ++j) sums[j] += words[i + j];
    sink = std::accumulate(sums, sums + 8, uint64_t{0});
  });
}

void measure(const GgmlLayout& layout, int64_t inputs, int64_t outputs, int64_t rows, int repeats) {
  const auto plain = at::randn({outputs, inputs}).mul_(0.02), x = at::randn({rows, inputs});
  GgmlMatrix w{layout.type, outputs, inputs};
  std::vector<uint8_t> blocks(static_cast<size_t>(outputs * w.row_bytes()));
  ggml_encode(layout.type, plain.const_data_ptr<float>(), outputs, inputs, blocks.data());
  w.blocks = blocks.data();
  auto y = at::empty({rows, outputs}), work = at::empty({rows, ggml_work(w)});
  const auto multiply = [&](GgmlWay way) {
    ggml_linear_by(way, x.const_data_ptr<float>(), rows, inputs, w, nullptr, y.mutable_data_ptr<float>(),
                   work.mutable_data_ptr<float>());
  };
  constexpr GgmlWay ways[] = {GgmlWay::vnni, GgmlWay::avx2, GgmlWay::portable};
  std::vector<double> reading, wide, ours[3];
  for (int i = 0; i < repeats; ++i) {
    reading.push_back(seconds([&] { read_all(blocks.data(), static_cast<int64_t>(blocks.size())); }));
    for (size_t k = 0; k < 3; ++k)
      if (layout.values == 1 || ggml_kernel(ways[k], layout.type))
        ours[k].push_back(seconds([&] { multiply(ways[k]); }));
    wide.push_back(seconds([&] {
      few_rows_linear(rows, inputs, outputs, x.const_data_ptr<float>(), plain.const_data_ptr<float>(),
                      nullptr, y.mutable_data_ptr<float>());
    }));
  }
  const auto bytes = static_cast<double>(blocks.size()), floats = 4.0 * static_cast<double>(plain.numel());
  fmt::print("{:<5} {:>5} x {:<6} rows {:<2}  read {:5.1f} GB/s  f32 {:5.1f} GB/s ", layout.name, inputs,
             outputs, rows, bytes / median(reading) / 1e9, floats / median(wide) / 1e9);
  const char* names[] = {"vnni", "avx2", "portable"};
  for (size_t k = 0; k < (layout.values == 1 ? 1 : 3); ++k)
    if (!ours[k].empty())
      fmt::print(" | {} {:5.1f} GB/s, {:4.2f} of reading, {:4.2f} x f32",
                 layout.values == 1 ? "half" : names[k], bytes / median(ours[k]) / 1e9,
                 median(reading) / median(ours[k]), median(wide) / median(ours[k]));
  fmt::print("\n");
}

}  // namespace
}  // namespace formwork

int main(int count, char** words) {
  const int repeats = count > 1 ? std::atoi(words[1]) : 9;
  if (count > 2) at::set_num_threads(std::atoi(words[2]));
  for (const auto& layout : formwork::ggml_layouts())
    for (const auto& [inputs, outputs] :
         {std::pair<int64_t, int64_t>{1536, 11520}, {576, 24576}, {4096, 8192}})
      for (const int64_t rows : {1, 4, 16})
        if (inputs % layout.values == 0) formwork::measure(layout, inputs, outputs, rows, repeats);
}
