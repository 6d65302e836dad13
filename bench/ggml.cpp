// Products of few rows with weights in ggml's blocks: GB of weights a second beside a loop that only reads
// them and beside the float32 kernel on as many weights, interleaved. bench_ggml [repeats] [threads]
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdlib>
#include <numeric>

#include "formwork/kernels/cpu/few_rows.h"
#include "formwork/kernels/cpu/ggml_block.h"
#include "formwork/kernels/cpu/parallel.h"

namespace formwork {
namespace {

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

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
  auto y = at::empty({rows, outputs});
  std::vector<double> reading, ours, wide;
  for (int i = 0; i < repeats; ++i) {
    reading.push_back(seconds([&] { read_all(blocks.data(), static_cast<int64_t>(blocks.size())); }));
    ours.push_back(seconds([&] {
      ggml_linear(x.const_data_ptr<float>(), rows, inputs, w, nullptr, y.mutable_data_ptr<float>());
    }));
    wide.push_back(seconds([&] {
      few_rows_linear(rows, inputs, outputs, x.const_data_ptr<float>(), plain.const_data_ptr<float>(),
                      nullptr, y.mutable_data_ptr<float>());
    }));
  }
  const auto bytes = static_cast<double>(blocks.size()), floats = 4.0 * static_cast<double>(plain.numel());
  fmt::print(
      "{:<5} {:>5} x {:<6} rows {:<2}  read {:5.1f} GB/s  ours {:5.1f} GB/s ({:4.2f} of it)  f32 {:5.1f} "
      "GB/s, "
      "ours {:4.2f} x as fast\n",
      layout.name, inputs, outputs, rows, bytes / median(reading) / 1e9, bytes / median(ours) / 1e9,
      median(reading) / median(ours), floats / median(wide) / 1e9, median(wide) / median(ours));
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
