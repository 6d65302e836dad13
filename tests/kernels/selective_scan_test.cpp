#include "formwork/kernels/cpu/selective_scan.h"

#include <gtest/gtest.h>

#include "formwork/core/error.h"

namespace formwork {
namespace {

struct Case {
  int64_t batch, length, channels, states;
  bool gate = true, start = true, zoh = false, lengths = false;
};

using Tensors = std::map<std::string, at::Tensor>;

Tensors make_inputs(const Case& c, at::ScalarType type) {
  at::manual_seed(7);
  const auto options = at::TensorOptions().dtype(type);
  Tensors in;
  in["delta"] = at::softplus(at::randn({c.batch, c.length, c.channels}, options) - 1);
  in["A"] = -at::exp(at::randn({c.channels, c.states}, options));
  in["B"] = at::randn({c.batch, c.length, c.states}, options);
  in["C"] = at::randn({c.batch, c.length, c.states}, options);
  in["x"] = at::randn({c.batch, c.length, c.channels}, options);
  in["D"] = at::randn({c.channels}, options);
  if (c.gate) in["z"] = at::randn({c.batch, c.length, c.channels}, options);
  if (c.start) in["h0"] = at::randn({c.batch, c.channels, c.states}, options);
  return in;
}

std::vector<int64_t> make_lengths(const Case& c) {
  std::vector<int64_t> lengths(c.batch, c.length);
  for (int64_t b = 0; b < c.batch; ++b) lengths[b] = c.length * (b + 1) / (c.batch + 1);
  return lengths;
}

// The recurrence as written, differentiable.
std::pair<at::Tensor, at::Tensor> recurrence(Tensors in, const Case& c) {
  at::Tensor delta = in["delta"];
  if (c.lengths) {
    const auto lengths = at::tensor(make_lengths(c));
    delta = delta * at::arange(c.length).unsqueeze(0).lt(lengths.unsqueeze(1)).unsqueeze(2).to(delta.dtype());
  }
  at::Tensor h = c.start ? in["h0"] : at::zeros({c.batch, c.channels, c.states}, in["x"].options());
  std::vector<at::Tensor> rows;
  for (int64_t t = 0; t < c.length; ++t) {
    const auto dt = delta.select(1, t).unsqueeze(-1), x = in["x"].select(1, t);
    const auto decay = at::exp(dt * in["A"]);
    const auto factor = c.zoh ? at::expm1(dt * in["A"]) / in["A"] : dt;
    h = decay * h + factor * in["B"].select(1, t).unsqueeze(1) * x.unsqueeze(-1);
    auto y = (h * in["C"].select(1, t).unsqueeze(1)).sum(-1) + in["D"] * x;
    if (c.gate) y = y * at::silu(in["z"].select(1, t));
    rows.push_back(y);
  }
  return {at::stack(rows, 1), h};
}

template <class T>
const T* pointer(Tensors& in, const std::string& name) {
  return in.count(name) ? in[name].template data_ptr<T>() : nullptr;
}

template <class T>
SelectiveScanInput<T> describe(Tensors& in, const Case& c, const std::vector<int64_t>& lengths) {
  SelectiveScanInput<T> out;
  out.batch = c.batch;
  out.length = c.length;
  out.channels = c.channels;
  out.states = c.states;
  out.delta = pointer<T>(in, "delta");
  out.A = pointer<T>(in, "A");
  out.B = pointer<T>(in, "B");
  out.C = pointer<T>(in, "C");
  out.x = pointer<T>(in, "x");
  out.D = pointer<T>(in, "D");
  out.z = pointer<T>(in, "z");
  out.h0 = pointer<T>(in, "h0");
  out.lengths = c.lengths ? lengths.data() : nullptr;
  out.zoh = c.zoh;
  return out;
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

template <class T>
void expect_forward(const Case& c, double tolerance) {
  constexpr auto type = std::is_same_v<T, float> ? at::kFloat : at::kDouble;
  auto in = make_inputs(c, type);
  const auto lengths = make_lengths(c);
  const auto scan = describe<T>(in, c, lengths);
  auto y = at::empty_like(in["x"]), final_state = at::empty({c.batch, c.channels, c.states}, type);
  selective_scan_forward(scan, y.template data_ptr<T>(), final_state.template data_ptr<T>(),
                         static_cast<T*>(nullptr));
  Tensors exact;
  for (auto& [name, tensor] : in) exact[name] = tensor.to(at::kDouble);
  const auto [want, state] = recurrence(exact, c);
  const double scale = distance(want, at::zeros_like(want));
  EXPECT_LT(distance(y, want), tolerance * std::max(1.0, scale));
  EXPECT_LT(distance(final_state, state), tolerance * std::max(1.0, scale));
}

TEST(SelectiveScan, EqualsTheRecurrence) {
  for (int64_t length : {1, 7, 64, 257}) {
    for (bool zoh : {false, true}) {
      expect_forward<float>({2, length, 13, 16, true, true, zoh, false}, 1e-5);
      expect_forward<double>({2, length, 13, 16, true, true, zoh, false}, 1e-10);
    }
    expect_forward<double>({3, length, 70, 3, false, false, false, true}, 1e-10);
  }
  expect_forward<float>({1, 9, 1, 1, false, false, false, false}, 1e-5);
}

TEST(SelectiveScan, GoldenStates) {
  const std::vector<double> delta(3, std::log(2.0)), ones(3, 1.0), A{-1.0};
  SelectiveScanInput<double> in;
  in.batch = in.channels = in.states = 1;
  in.length = 3;
  in.delta = delta.data();
  in.A = A.data();
  in.B = in.C = in.x = ones.data();
  std::vector<double> y(3);
  selective_scan_forward(in, y.data(), static_cast<double*>(nullptr), static_cast<double*>(nullptr));
  EXPECT_NEAR(y[0], 0.693147, 1e-6);
  EXPECT_NEAR(y[1], 1.039721, 1e-6);
  EXPECT_NEAR(y[2], 1.213008, 1e-6);
}

TEST(SelectiveScan, IsTheGatedRecurrentUnit) {
  const auto w = at::tensor(std::vector<double>{-2.0, 0.3, 1.5, -0.1, 4.0});
  const auto x = at::tensor(std::vector<double>{1.0, -0.5, 0.25, 3.0, -1.0});
  const auto delta = at::softplus(w), ones = at::ones({5}, at::kDouble), A = -at::ones({1}, at::kDouble);
  SelectiveScanInput<double> in;
  in.batch = in.channels = in.states = 1;
  in.length = 5;
  in.delta = delta.data_ptr<double>();
  in.A = A.data_ptr<double>();
  in.B = in.C = ones.data_ptr<double>();
  in.x = x.data_ptr<double>();
  in.zoh = true;
  std::vector<double> y(5);
  selective_scan_forward(in, y.data(), static_cast<double*>(nullptr), static_cast<double*>(nullptr));
  double h = 0;
  for (int t = 0; t < 5; ++t) {
    const double gate = at::sigmoid(w)[t].item<double>();
    h = (1 - gate) * h + gate * x[t].item<double>();
    EXPECT_NEAR(y[t], h, 1e-9);
  }
}

void expect_gradients(const Case& c) {
  auto in = make_inputs(c, at::kDouble);
  const auto lengths = make_lengths(c);
  const auto scan = describe<double>(in, c, lengths);
  std::vector<double> borders(selective_scan_border_size(scan));
  auto y = at::empty_like(in["x"]), final_state = at::empty({c.batch, c.channels, c.states}, at::kDouble);
  selective_scan_forward(scan, y.data_ptr<double>(), final_state.data_ptr<double>(), borders.data());
  const auto dy = at::randn_like(y), d_final = at::randn_like(final_state);
  Tensors grads;
  for (auto& [name, tensor] : in) grads[name] = at::full_like(tensor, 1e9);
  SelectiveScanGradients<double> out;
  const auto slot = [&](const char* name) { return const_cast<double*>(pointer<double>(grads, name)); };
  out.delta = slot("delta");
  out.A = slot("A");
  out.B = slot("B");
  out.C = slot("C");
  out.x = slot("x");
  out.D = slot("D");
  out.z = slot("z");
  out.h0 = slot("h0");
  selective_scan_backward(scan, borders.data(), dy.data_ptr<double>(), d_final.data_ptr<double>(), out);

  Tensors leaves;
  for (auto& [name, tensor] : in) leaves[name] = tensor.clone().set_requires_grad(true);
  const auto [want, state] = recurrence(leaves, c);
  ((want * dy).sum() + (state * d_final).sum()).backward();
  for (auto& [name, leaf] : leaves) {
    const double scale = std::max(1.0, leaf.grad().abs().max().item<double>());
    EXPECT_LT((grads[name] - leaf.grad()).abs().max().item<double>(), 1e-9 * scale)
        << name << " L=" << c.length << " E=" << c.channels << " zoh=" << c.zoh;
  }
}

TEST(SelectiveScan, GradientsEqualAutograd) {
  for (bool zoh : {false, true}) {
    expect_gradients({2, 1, 3, 4, true, true, zoh, false});
    expect_gradients({2, 70, 5, 3, true, true, zoh, true});
    expect_gradients({1, 37, 9, 16, false, false, zoh, false});
  }
  expect_gradients({2, 5, 261, 2, true, true, false, false});
}

TEST(SelectiveScan, RefusesWrongSizes) {
  SelectiveScanInput<float> in;
  EXPECT_THROW(selective_scan_forward<float>(in, nullptr, nullptr, nullptr), Error);
}

}  // namespace
}  // namespace formwork
