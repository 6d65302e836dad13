// The differentiable forms that models use (fused attention, norms, rotary) against the ATen operators that
// they replace: interleaved repeats, the median of each, and the ratio (above 1: ours is faster).
#include <chrono>
#include <cstdio>

#include "formwork/core/context.h"
#include "formwork/mixers/attention/fused.h"
#include "formwork/norms/fused.h"
#include "formwork/positions/fused.h"

namespace formwork {
namespace {

using Work = std::function<void()>;
constexpr int kRepeats = 9;

double milliseconds(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + kRepeats / 2, values.end());
  return values[kRepeats / 2];
}

void compare(const std::string& name, const Work& aten, const Work& ours) {
  std::vector<double> theirs, mine;
  aten(), ours();
  for (int i = 0; i < kRepeats; ++i) {
    theirs.push_back(milliseconds(aten));
    mine.push_back(milliseconds(ours));
  }
  fmt::print("{:<58} ATen {:8.3f} ms  ours {:8.3f} ms  ratio {:5.2f}\n", name, median(theirs), median(mine),
             median(theirs) / median(mine));
}

struct Shape {
  int64_t batch, heads, kv_heads, tokens, width, window;
};

// A fused qkv [B, T, (H + 2 Hkv) d] as the mixer has it, through to the gradient of qkv.
void attention(const Shape& s, bool backward) {
  const auto qkv =
      at::randn({s.batch, s.tokens, (s.heads + 2 * s.kv_heads) * s.width}).set_requires_grad(backward);
  const auto weighting = at::randn({s.batch, s.tokens, s.heads, s.width});
  const auto split = [&] {
    const auto parts =
        qkv.split_with_sizes({s.heads * s.width, s.kv_heads * s.width, s.kv_heads * s.width}, -1);
    std::vector<Tensor> heads;
    for (const auto& part : parts) heads.push_back(part.unflatten(-1, {part.size(-1) / s.width, s.width}));
    return heads;
  };
  const auto finish = [&](const Tensor& y) {
    if (backward) torch::autograd::grad({y}, {qkv}, {weighting});
  };
  const auto distance = at::arange(s.tokens).unsqueeze(1) - at::arange(s.tokens);
  const auto mask =
      s.window ? std::optional<Tensor>(distance.ge(0).logical_and(distance.lt(s.window))) : std::nullopt;
  const auto aten = [&] {
    const auto x = split();
    finish(at::scaled_dot_product_attention(x[0].transpose(1, 2), x[1].transpose(1, 2), x[2].transpose(1, 2),
                                            mask, 0, !mask, std::nullopt, s.heads != s.kv_heads)
               .transpose(1, 2)
               .contiguous());
  };
  const auto ours = [&] {
    const auto x = split();
    AttentionPlan plan;
    plan.runs = {{0, s.batch, 0, s.tokens, 0, s.tokens, 0, 0}};
    plan.scale = 1 / std::sqrt(static_cast<double>(s.width));
    plan.causal = true, plan.window = s.window;
    finish(fused_attention(x[0], x[1], x[2], {}, plan));
  };
  compare(fmt::format("attention [{}, {}, {}/{}, {}] window {}{}", s.batch, s.tokens, s.heads, s.kv_heads,
                      s.width, s.window, backward ? " + backward" : ""),
          aten, ours);
}

void norms(int64_t rows, int64_t width) {
  const auto x = at::randn({rows, width}).set_requires_grad(true), dy = at::randn({rows, width});
  const auto gain = at::randn({width}).set_requires_grad(true);
  compare(
      fmt::format("rms_norm [{}, {}] + backward", rows, width),
      [&] {
        torch::autograd::grad({at::rms_norm(x, {width}, gain, 1e-5)}, {x, gain}, {dy});
      },
      [&] {
        torch::autograd::grad({fused_rms_norm(x, gain, static_cast<double>(width), 1e-5)}, {x, gain}, {dy});
      });
}

void rotary(int64_t batch, int64_t tokens, int64_t heads, int64_t width) {
  const auto x = at::randn({batch, tokens, heads, width}).set_requires_grad(true), dy = at::randn(x.sizes());
  const auto angles = at::randn({1, tokens, width / 2});
  const auto cosines = angles.cos(), sines = angles.sin();
  compare(
      fmt::format("rotary [{}, {}, {}, {}] + backward", batch, tokens, heads, width),
      [&] {
        const auto c = cosines.unsqueeze(2), s = sines.unsqueeze(2);
        const auto a = x.narrow(-1, 0, width / 2), b = x.narrow(-1, width / 2, width / 2);
        torch::autograd::grad({at::cat({a * c - b * s, b * c + a * s}, -1)}, {x}, {dy});
      },
      [&] { torch::autograd::grad({fused_rotary(x, cosines, sines, true)}, {x}, {dy}); });
}

}  // namespace
}  // namespace formwork

int main() {
  using namespace formwork;
  for (const Shape& s : std::vector<Shape>{{32, 4, 4, 64, 16, 0},
                                           {4, 8, 8, 256, 64, 0},
                                           {4, 8, 2, 256, 64, 0},
                                           {1, 8, 8, 1024, 64, 0},
                                           {1, 8, 8, 1024, 64, 128}}) {
    attention(s, false);
    attention(s, true);
  }
  norms(2048, 64);
  norms(2048, 512);
  rotary(32, 64, 8, 16);
  rotary(4, 256, 16, 64);
  return 0;
}
