#include "formwork/mixers/recurrent/selective_scan.h"

#include "formwork/kernels/cpu/selective_scan.h"
#include "formwork/mixers/recurrent/chunked_scan.h"

namespace formwork {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <class T>
T* pointer(const Tensor& x) {
  return x.defined() ? const_cast<T*>(x.const_data_ptr<T>()) : nullptr;
}

template <class T>
SelectiveScanInput<T> describe(const SelectiveScan& s) {
  SelectiveScanInput<T> in;
  in.batch = s.x.size(0), in.length = s.x.size(1), in.channels = s.x.size(2), in.states = s.A.size(1);
  in.delta = pointer<T>(s.delta), in.A = pointer<T>(s.A), in.B = pointer<T>(s.B), in.C = pointer<T>(s.C);
  in.x = pointer<T>(s.x), in.D = pointer<T>(s.D), in.z = pointer<T>(s.z), in.h0 = pointer<T>(s.h0);
  in.zoh = s.zoh;
  return in;
}

SelectiveScan dense(SelectiveScan s) {
  for (Tensor* t : {&s.delta, &s.A, &s.B, &s.C, &s.x, &s.D, &s.z, &s.h0})
    if (t->defined()) *t = t->contiguous();
  return s;
}

struct Outputs {
  Tensor y, state, borders;
};

template <class T>
Outputs run_forward(const SelectiveScan& s, bool keep_borders) {
  const auto in = describe<T>(s);
  Outputs out{at::empty_like(s.x), at::empty({in.batch, in.channels, in.states}, s.x.options()), {}};
  if (keep_borders) out.borders = at::empty({selective_scan_border_size(in)}, s.x.options());
  selective_scan_forward(in, pointer<T>(out.y), pointer<T>(out.state), pointer<T>(out.borders));
  return out;
}

template <class T>
SelectiveScan run_backward(const SelectiveScan& s, const Tensor& borders, const Tensor& dy,
                           const Tensor& d_state) {
  SelectiveScan g;
  const auto like = [](const Tensor& t) { return t.defined() ? at::empty_like(t) : Tensor(); };
  g.delta = like(s.delta), g.A = like(s.A), g.B = like(s.B), g.C = like(s.C), g.x = like(s.x);
  g.D = like(s.D), g.z = like(s.z), g.h0 = like(s.h0);
  const SelectiveScanGradients<T> out{pointer<T>(g.delta), pointer<T>(g.A), pointer<T>(g.B),
                                      pointer<T>(g.C),     pointer<T>(g.x), pointer<T>(g.D),
                                      pointer<T>(g.z),     pointer<T>(g.h0)};
  selective_scan_backward(describe<T>(s), pointer<T>(borders), pointer<T>(dy), pointer<T>(d_state), out);
  return g;
}

class FusedScan : public torch::autograd::Function<FusedScan> {
 public:
  using Optional = std::optional<Tensor>;

  static variable_list forward(AutogradContext* ctx, const Tensor& delta, const Tensor& A, const Tensor& B,
                               const Tensor& C, const Tensor& x, const Optional& D, const Optional& z,
                               const Optional& h0, bool zoh) {
    const auto s =
        dense({delta, A, B, C, x, D.value_or(Tensor()), z.value_or(Tensor()), h0.value_or(Tensor()), zoh});
    const auto out =
        x.scalar_type() == at::kFloat ? run_forward<float>(s, true) : run_forward<double>(s, true);
    ctx->save_for_backward({s.delta, s.A, s.B, s.C, s.x, s.D, s.z, s.h0, out.borders});
    ctx->saved_data["zoh"] = zoh;
    ctx->set_materialize_grads(false);
    return {out.y, out.state};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const SelectiveScan s{saved[0], saved[1], saved[2],
                          saved[3], saved[4], saved[5],
                          saved[6], saved[7], ctx->saved_data["zoh"].toBool()};
    const auto dy = gradients[0].defined() ? gradients[0].contiguous() : at::zeros_like(s.x);
    const auto d_state = gradients[1].defined() ? gradients[1].contiguous() : Tensor();
    const auto g = s.x.scalar_type() == at::kFloat ? run_backward<float>(s, saved[8], dy, d_state)
                                                   : run_backward<double>(s, saved[8], dy, d_state);
    return {g.delta, g.A, g.B, g.C, g.x, g.D, g.z, g.h0, Tensor()};
  }
};

bool needs_gradient(const SelectiveScan& s) {
  if (!at::GradMode::is_enabled()) return false;
  for (const Tensor* t : {&s.delta, &s.A, &s.B, &s.C, &s.x, &s.D, &s.z, &s.h0})
    if (t->defined() && t->requires_grad()) return true;
  return false;
}

// B or C as it meets [B, L, E, N].
Tensor beside_states(const Tensor& x) { return x.dim() == 3 ? x.unsqueeze(2) : x; }

}  // namespace

bool selective_scan_is_fused(const SelectiveScan& s) {
  const auto type = s.x.scalar_type();
  return s.x.is_cpu() && s.x.numel() > 0 && s.A.numel() > 0 && (type == at::kFloat || type == at::kDouble);
}

std::pair<Tensor, Tensor> selective_scan_fused(const SelectiveScan& s) {
  if (needs_gradient(s)) {
    const auto given = [](const Tensor& t) { return t.defined() ? std::optional(t) : std::nullopt; };
    const auto out =
        FusedScan::apply(s.delta, s.A, s.B, s.C, s.x, given(s.D), given(s.z), given(s.h0), s.zoh);
    return {out[0], out[1]};
  }
  const auto in = dense(s);
  const auto out =
      s.x.scalar_type() == at::kFloat ? run_forward<float>(in, false) : run_forward<double>(in, false);
  return {out.y, out.state};
}

std::pair<Tensor, Tensor> selective_scan_plain(const SelectiveScan& s) {
  auto h = s.h0.defined() ? s.h0 : at::zeros({s.x.size(0), s.x.size(2), s.A.size(1)}, s.x.options());
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < s.x.size(1); ++t) {
    const auto delta = s.delta.select(1, t).unsqueeze(-1), x = s.x.select(1, t).unsqueeze(-1);
    const auto exponent = delta * s.A;
    const auto factor = s.zoh ? exponent.expm1() / s.A : delta;
    h = exponent.exp() * h + factor * s.B.select(1, t).unsqueeze(1) * x;
    rows.push_back(h.matmul(s.C.select(1, t).unsqueeze(-1)).squeeze(-1));
  }
  return {skip_and_gate(s, rows.empty() ? at::zeros_like(s.x) : at::stack(rows, 1)), h};
}

Tensor skip_and_gate(const SelectiveScan& s, Tensor y) {
  if (s.D.defined()) y = y + s.D * s.x;
  return s.z.defined() ? y * at::silu(s.z) : y;
}

// Each state of each channel as a channel of its own, with one state and B = C = 1.
std::pair<Tensor, Tensor> scan_states(const SelectiveScan& s, const Tensor& u, bool plain) {
  const int64_t batch = u.size(0), length = u.size(1), channels = u.size(2), states = u.size(3);
  SelectiveScan flat;
  flat.delta = s.delta.unsqueeze(-1).expand(u.sizes()).flatten(2);
  flat.A = s.A.reshape({channels * states, 1}), flat.zoh = s.zoh;
  flat.B = flat.C = at::ones({batch, length, 1}, u.options());
  flat.x = u.flatten(2);
  if (s.h0.defined()) flat.h0 = s.h0.reshape({batch, channels * states, 1});
  const auto [h, last] = selective_scan(flat, plain);
  return {h.unflatten(2, {channels, states}), last.reshape({batch, channels, states})};
}

// With constant B or C; y without skip and gate.
template <bool plain>
static std::pair<Tensor, Tensor> constant_states(const SelectiveScan& s, const Tensor&) {
  const auto [h, last] = scan_states(s, s.x.unsqueeze(-1) * beside_states(s.B), plain);
  return {(h * beside_states(s.C)).sum(-1), last};
}

std::pair<Tensor, Tensor> selective_scan(const SelectiveScan& s, bool plain) {
  if (s.B.dim() == 3 && s.C.dim() == 3)
    return plain || !selective_scan_is_fused(s) ? selective_scan_plain(s) : selective_scan_fused(s);
  const auto [y, last] = plain ? constant_states<true>(s, {}) : scan_in_chunks(s, {}, constant_states<false>);
  return {skip_and_gate(s, y), last};
}

}  // namespace formwork
