// Every CPU kernel against the ATen operators that it replaces, forward and backward: interleaved repeats,
// the median of each, and the ratio (above 1: ours is faster).
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "formwork/kernels/cpu/activation.h"
#include "formwork/kernels/cpu/attention.h"
#include "formwork/kernels/cpu/cross_entropy.h"
#include "formwork/kernels/cpu/few_rows.h"
#include "formwork/kernels/cpu/int4.h"
#include "formwork/kernels/cpu/int8.h"
#include "formwork/kernels/cpu/norm.h"
#include "formwork/kernels/cpu/optimizer.h"
#include "formwork/kernels/cpu/rotary.h"

namespace formwork {
namespace {

using Work = std::function<void()>;

int repeats = 15;
std::string chosen;  // only benchmarks whose name contains it

double milliseconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

void compare(const std::string& name, const Work& aten, const Work& ours) {
  if (name.find(chosen) == std::string::npos) return;
  std::vector<double> theirs, mine;
  aten(), ours();
  for (int i = 0; i < repeats; ++i) {
    theirs.push_back(milliseconds(aten));
    mine.push_back(milliseconds(ours));
  }
  fmt::print("{:<52} ATen {:8.3f} ms  ours {:8.3f} ms  ratio {:5.2f}\n", name, median(theirs), median(mine),
             median(theirs) / median(mine));
}

float* raw(const at::Tensor& x) { return x.data_ptr<float>(); }

template <class T = float>
HeadView<T> view(const at::Tensor& x) {
  return {raw(x), x.stride(0), x.stride(2), x.stride(1)};
}

// On fused qkv [B, T, 3, H, D], as a model has it.
void attention(std::int64_t batch, std::int64_t heads, std::int64_t tokens, std::int64_t width, bool causal) {
  const auto qkv = at::randn({batch, tokens, 3, heads, width});
  const auto q = qkv.select(2, 0), k = qkv.select(2, 1), v = qkv.select(2, 2);
  const auto grad = at::randn({batch, tokens, heads, width});
  const auto o = at::empty_like(grad), d_qkv = at::empty_like(qkv), sums = at::empty({batch, heads, tokens});
  const Attention<float> ours{{batch, heads, heads, tokens, tokens, width, width},
                              {causal},
                              1 / std::sqrt(static_cast<float>(width)),
                              {}};
  const auto name =
      fmt::format("B={} H={} T={} d={}{}", batch, heads, tokens, width, causal ? " causal" : "");
  const auto heads_first = [](const at::Tensor& x) { return x.transpose(1, 2); };
  const auto forward = [&] {
    attention_forward<float>(ours, view<const float>(q), view<const float>(k), view<const float>(v), view(o),
                             raw(sums));
  };
  compare(
      "attention forward " + name,
      [&] {
        c10::InferenceMode guard;
        at::scaled_dot_product_attention(heads_first(q), heads_first(k), heads_first(v), {}, 0, causal);
      },
      forward);
  const auto leaf = qkv.clone().requires_grad_();
  compare(
      "attention forward + backward " + name,
      [&] {
        at::AutoGradMode guard(true);
        leaf.mutable_grad().reset();
        const auto y =
            at::scaled_dot_product_attention(heads_first(leaf.select(2, 0)), heads_first(leaf.select(2, 1)),
                                             heads_first(leaf.select(2, 2)), {}, 0, causal);
        heads_first(y).backward(grad);
      },
      [&] {
        forward();
        const AttentionSaved<float> saved{view<const float>(q), view<const float>(k), view<const float>(v),
                                          view<const float>(o), raw(sums)};
        attention_backward<float>(
            ours, saved, view<const float>(grad),
            {view(d_qkv.select(2, 0)), view(d_qkv.select(2, 1)), view(d_qkv.select(2, 2)), {}});
      });
}

void norms(std::int64_t rows, std::int64_t width) {
  const auto x = at::randn({rows, width}).requires_grad_(), gain = at::randn({width}).requires_grad_();
  const auto bias = at::randn({width}).requires_grad_(), dy = at::randn({rows, width});
  const auto y = at::empty_like(dy), dx = at::empty_like(dy), dgain = at::empty({width}),
             dbias = at::empty({width});
  const auto mean = at::empty({rows}), inverse = at::empty({rows});
  const auto name = fmt::format(" forward + backward [{}, {}]", rows, width);
  const auto clear = [&] {
    x.mutable_grad().reset(), gain.mutable_grad().reset(), bias.mutable_grad().reset();
  };
  const RmsNorm<float> rms{rows, width, static_cast<float>(width), 1e-5f, raw(gain)};
  compare(
      "RMSNorm" + name,
      [&] {
        clear();
        at::rms_norm(x, {width}, gain, 1e-5).backward(dy);
      },
      [&] {
        rms_norm_forward<float>(rms, raw(x), raw(y), raw(inverse));
        rms_norm_backward<float>(rms, raw(x), raw(inverse), raw(dy), nullptr, raw(dx), raw(dgain));
      });
  const LayerNorm<float> layer{rows, width, 1e-5f, raw(gain), raw(bias)};
  compare(
      "LayerNorm" + name,
      [&] {
        clear();
        at::layer_norm(x, {width}, gain, bias, 1e-5).backward(dy);
      },
      [&] {
        layer_norm_forward<float>(layer, raw(x), raw(y), raw(mean), raw(inverse));
        layer_norm_backward<float>(layer, raw(x), raw(mean), raw(inverse), raw(dy), raw(dx), raw(dgain),
                                   raw(dbias));
      });
}

void gates(std::int64_t rows, std::int64_t width) {
  const auto x = at::randn({rows, 2 * width}).requires_grad_(), dy = at::randn({rows, width});
  const auto y = at::empty_like(dy), dx = at::empty({rows, 2 * width});
  for (Gate gate : {Gate::silu, Gate::gelu}) {
    const bool silu = gate == Gate::silu;
    compare(
        fmt::format("{} forward + backward [{}, {}]", silu ? "SwiGLU" : "GEGLU", rows, width),
        [&] {
          x.mutable_grad().reset();
          const auto halves = x.chunk(2, 1);
          ((silu ? at::silu(halves[0]) : at::gelu(halves[0])) * halves[1]).backward(dy);
        },
        [&] {
          gated_forward<float>(gate, rows, width, raw(x), raw(y));
          gated_backward<float>(gate, rows, width, raw(x), raw(dy), raw(dx));
        });
  }
}

void loss(std::int64_t rows, std::int64_t classes) {
  const auto x = at::randn({rows, classes}).requires_grad_(),
             targets = at::randint(classes, {rows}, at::kLong);
  const auto logits = x.detach().clone(), losses = at::empty({rows});
  compare(
      fmt::format("cross-entropy forward + backward [{}, {}]", rows, classes),
      [&] {
        x.mutable_grad().reset();
        at::cross_entropy_loss(x, targets).backward();
      },
      [&] {
        logits.copy_(x.detach());  // in place: the copy stands for the product that wrote the logits
        cross_entropy_fused<float>({rows, classes, classes}, raw(logits), targets.data_ptr<std::int64_t>(),
                                   raw(losses), 1.0f / static_cast<float>(rows));
      });
}

void rotary(std::int64_t batch, std::int64_t tokens, std::int64_t heads, std::int64_t width) {
  const auto x = at::randn({batch, tokens, heads, width}), angles = at::randn({tokens, width / 2});
  const auto cosines = angles.cos(), sines = angles.sin();
  const auto c = cosines.unsqueeze(1), s = sines.unsqueeze(1);
  compare(
      fmt::format("rotary [{}, {}, {}, {}]", batch, tokens, heads, width),
      [&] {
        const auto parts = x.chunk(2, -1);
        at::cat({parts[0] * c - parts[1] * s, parts[0] * s + parts[1] * c}, -1);
      },
      [&] {
        rotary_forward<float>({batch, tokens, heads, width, x.stride(0), x.stride(1), x.stride(2)},
                              raw(cosines), raw(sines), raw(x));
      });
}

void optimizers(std::int64_t n) {
  std::vector<at::Tensor> p = {at::randn({n})}, g = {at::randn({n})}, m = {at::zeros({n})},
                          v = {at::ones({n})};
  const std::vector<at::Tensor> step = {at::full({}, 3.0f)};
  compare(
      fmt::format("AdamW [{}]", n),
      [&] { at::_fused_adamw_(p, g, m, v, {}, step, 1e-3, 0.9, 0.999, 0.1, 1e-8, false, false); },
      [&] {
        adamw_step<float>({1e-3, 0.9, 0.999, 1e-8, 0.1, 3}, n, raw(p[0]), raw(g[0]), raw(m[0]), raw(v[0]));
      });
  compare(
      fmt::format("SGD with momentum [{}]", n),
      [&] { at::_fused_sgd_(p, g, m, 0.1, 0.9, 1e-3, 0, false, false, false); },
      [&] {
        sgd_step<float>({1e-3, 0.9, 0.1}, n, raw(p[0]), raw(g[0]), raw(m[0]));
      });
  compare(
      fmt::format("gradient norm [{}]", n), [&] { at::norm(g[0]).item<float>(); },
      [&] { sum_of_squares<float>(n, raw(g[0])); });
}

// A whole 8-bit linear map of float inputs, against the float product and, the sums alone, against _int_mm.
void int8(std::int64_t rows, std::int64_t inputs, std::int64_t outputs) {
  const auto x = at::randn({rows, inputs}), w = at::randn({outputs, inputs});
  const auto codes = at::randint(-127, 128, {outputs, inputs}, at::kChar), scales = at::rand({outputs});
  const auto x_codes = at::randint(-127, 128, {rows, inputs}, at::kChar), y = at::empty({rows, outputs});
  const auto x_scales = at::empty({rows}), turned = codes.t();
  const auto sums = at::empty({rows, outputs}, at::kInt);
  auto* x_raw = x_codes.data_ptr<std::int8_t>();
  const auto* w_raw = codes.data_ptr<std::int8_t>();
  const auto name = fmt::format("{} x {} x {}", rows, inputs, outputs);
  compare(
      "int8 map / float linear " + name, [&] { at::linear(x, w); },
      [&] {
        const Int8Input in{raw(x), rows, inputs};
        int8_row_scales(in, false, raw(x_scales));
        int8_quantize_rows(in, raw(x_scales), x_raw);
        int8_linear({x_raw, rows, raw(x_scales)}, {w_raw, outputs, raw(scales)}, inputs, inputs, nullptr,
                    raw(y));
      });
  for (const auto kernel : int8_kernels())
    compare(
        fmt::format("int8 sums {} / _int_mm {}",
                    kernel == Int8Kernel::amx    ? "amx"
                    : kernel == Int8Kernel::vnni ? "vnni"
                                                 : "portable",
                    name),
        [&] { at::_int_mm(x_codes, turned); },
        [&] { int8_product(kernel, x_raw, rows, w_raw, outputs, inputs, sums.data_ptr<std::int32_t>()); });
}

void int4(std::int64_t rows, std::int64_t inputs, std::int64_t outputs, std::int64_t group) {
  const auto x = at::randn({rows, inputs}), w = at::randn({outputs, inputs}), y = at::empty({rows, outputs});
  const auto codes = at::randint(256, {outputs, inputs / 2}, at::kByte);
  const auto scales = at::rand({outputs, inputs / group});
  const auto zeros = at::randint(16, {outputs, inputs / group}, at::kByte);
  const Int4Weight weight{
      outputs, inputs, group, codes.data_ptr<std::uint8_t>(), raw(scales), zeros.data_ptr<std::uint8_t>()};
  compare(
      fmt::format("int4 / float linear {} x {} x {} by {}", rows, inputs, outputs, group),
      [&] { at::linear(x, w); }, [&] { int4_linear(raw(x), rows, inputs, weight, nullptr, raw(y)); });
}

// What the runtime multiplies by, for few rows and for prompts.
void rows(std::int64_t count, std::int64_t inputs, std::int64_t outputs) {
  const auto x = at::randn({count, inputs}), w = at::randn({outputs, inputs}),
             y = at::empty({count, outputs});
  const auto half = w.to(at::kBFloat16);
  const auto name = fmt::format("{} x {} x {}", count, inputs, outputs);
  RowsProduct call{count,   inputs, outputs, raw(x), inputs, raw(w), WeightType::float32,
                   nullptr, raw(y), outputs};
  const auto aten = [&] {
    c10::InferenceMode guard;
    at::linear(x, w);
  };
  compare("product " + name, aten, [&] { rows_product(call); });
  auto narrow = call;
  narrow.w = half.const_data_ptr(), narrow.type = WeightType::bfloat16;
  compare("product bf16 / float linear " + name, aten, [&] { rows_product(narrow); });
}

}  // namespace
}  // namespace formwork

// Usage: bench_kernels [threads [repeats [name]]]
int main(int argc, char** argv) {
  using namespace formwork;
  if (argc > 1) at::set_num_threads(std::atoi(argv[1]));
  if (argc > 2) repeats = std::atoi(argv[2]);
  if (argc > 3) chosen = argv[3];
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  fmt::print("threads {}\n", at::get_num_threads());
  for (bool causal : {false, true}) {
    attention(32, 4, 64, 16, causal);
    attention(8, 8, 256, 32, causal);
    attention(2, 8, 1024, 64, causal);
  }
  norms(2048, 64);
  norms(2048, 512);
  gates(2048, 172);
  gates(2048, 1376);
  loss(2048, 65);
  loss(1024, 8192);
  rotary(32, 64, 4, 16);
  rotary(8, 256, 8, 32);
  optimizers(200'000);
  optimizers(4'000'000);
  for (const std::int64_t count : {1, 8, 128}) {
    rows(count, 768, 2304);
    rows(count, 2048, 768);
  }
  for (const std::int64_t rows : {1, 64}) int8(rows, 4096, 4096);
  for (const std::int64_t rows : {1, 8}) int4(rows, 4096, 4096, 64);
}
