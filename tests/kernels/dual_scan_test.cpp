#include "formwork/kernels/cpu/dual_scan.h"

#include "every_target.h"

namespace formwork {
namespace {

struct Size {
  int64_t length, groups, heads, width, states;
};

struct Tensors {
  at::Tensor rows, delta, A, D, h;  // rows: [L, x | B | C | 3 more]
};

Tensors random_tensors(const Size& n) {
  at::manual_seed(3);
  const int64_t heads = n.groups * n.heads, row = heads * n.width + 2 * n.groups * n.states + 3;
  return {at::randn({n.length, row}), at::rand({n.length, heads}), -at::rand({heads}) * 3, at::randn({heads}),
          at::randn({heads, n.states, n.width})};
}

DualScanInput describe(const Size& n, const Tensors& t) {
  DualScanInput in;
  in.length = n.length, in.groups = n.groups, in.heads = n.heads, in.width = n.width, in.states = n.states;
  in.stride = t.rows.size(1), in.x = t.rows.data_ptr<float>();
  in.B = in.x + n.groups * n.heads * n.width, in.C = in.B + n.groups * n.states;
  in.delta = in.gain = t.delta.data_ptr<float>(), in.A = t.A.data_ptr<float>(), in.D = t.D.data_ptr<float>();
  return in;
}

// In float64, from the formula.
std::pair<at::Tensor, at::Tensor> expected(const Size& n, const Tensors& t) {
  const auto exact = [](const at::Tensor& x) { return x.to(at::kDouble); };
  const int64_t heads = n.groups * n.heads;
  auto h = exact(t.h);
  std::vector<at::Tensor> rows;
  for (int64_t i = 0; i < n.length; ++i) {
    const auto parts =
        exact(t.rows[i]).split_with_sizes({heads * n.width, n.groups * n.states, n.groups * n.states, 3});
    const auto of_head = [&](const at::Tensor& x) {
      return x.view({n.groups, n.states, 1}).repeat_interleave(n.heads, 0);
    };
    const auto x = parts[0].view({heads, 1, n.width}), delta = exact(t.delta[i]).view({heads, 1, 1});
    h = (delta * exact(t.A).view({heads, 1, 1})).exp() * h + of_head(parts[1]) * delta * x;
    rows.push_back(((h * of_head(parts[2])).sum(1) + exact(t.D).view({heads, 1}) * x.squeeze(1)).flatten());
  }
  return {at::stack(rows), h};
}

double gap(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

TEST(DualScanKernel, EqualsTheRecurrence) {
  for (const Size n :
       {Size{9, 2, 3, 5, 7}, Size{1, 1, 1, 1, 1}, Size{40, 1, 4, 64, 16}, Size{3, 4, 1, 33, 2}}) {
    const auto t = random_tensors(n);
    const auto want = expected(n, t);
    for_every_target([&] {
      auto state = t.h.clone(), out = at::empty({n.length, n.groups * n.heads * n.width});
      dual_scan_forward(describe(n, t), state.data_ptr<float>(), out.data_ptr<float>());
      EXPECT_LT(gap(out, want.first), 2e-5 * (1 + want.first.abs().max().item<double>()));
      EXPECT_LT(gap(state, want.second), 2e-5 * (1 + want.second.abs().max().item<double>()));
    });
  }
}

TEST(DualScanKernel, TakesTheInputAsItIsWithoutGains) {
  const Size n{5, 2, 1, 3, 2};
  const auto t = random_tensors(n);
  auto ones = at::ones({n.length, 2}), first = t.h.clone(), second = t.h.clone();
  auto y = at::empty({n.length, 2 * n.width}), z = at::empty({n.length, 2 * n.width});
  auto in = describe(n, t);
  in.gain = ones.data_ptr<float>();
  dual_scan_forward(in, first.data_ptr<float>(), y.data_ptr<float>());
  in.gain = nullptr;
  dual_scan_forward(in, second.data_ptr<float>(), z.data_ptr<float>());
  EXPECT_TRUE(y.equal(z) && first.equal(second));
}

TEST(DualScanKernel, GivesTheSameBitsHoweverItIsCut) {
  const Size n{11, 2, 2, 19, 6};
  const auto t = random_tensors(n);
  auto whole = t.h.clone(), y = at::empty({n.length, 4 * n.width});
  dual_scan_forward(describe(n, t), whole.data_ptr<float>(), y.data_ptr<float>());
  auto cut = t.h.clone();
  for (int64_t i = 0; i < n.length; ++i) {
    Tensors one = t;
    one.rows = t.rows.narrow(0, i, 1), one.delta = t.delta.narrow(0, i, 1);
    auto in = describe({1, n.groups, n.heads, n.width, n.states}, one);
    auto row = at::empty({4 * n.width});
    dual_scan_forward(in, cut.data_ptr<float>(), row.data_ptr<float>());
    EXPECT_TRUE(row.equal(y[i])) << i;
  }
  EXPECT_TRUE(cut.equal(whole));
}

}  // namespace
}  // namespace formwork
