#include "formwork/mixers/recurrent/complex_scan.h"

#include "formwork/mixers/recurrent/chunked_scan.h"

namespace formwork {
namespace {

// (e^p - 1) / p, by its series where that cancels; p real or complex.
Tensor mean_exponential(const Tensor& p) {
  const auto small = p.abs() < 0.1;
  const auto zero = at::zeros_like(p), near = at::where(small, p, zero), one = at::ones_like(p);
  auto series = one;
  for (int64_t k = 10; k >= 2; --k) series = one + series * near / static_cast<double>(k);
  const auto far = at::where(small, one, p);
  return at::where(small, series, (far.exp() - 1) / far);
}

// A + i W, or A.
Tensor rates(const SelectiveScan& s, const Tensor& W) { return W.defined() ? at::complex(s.A, W) : s.A; }

// f of each token, channel and state, [B, L, E, N], or [B, L, E, 1] where it is delta alone.
Tensor input_factor(const SelectiveScan& s, const Tensor& W) {
  const auto delta = s.delta.unsqueeze(-1);
  return s.zoh ? delta * mean_exponential(delta * rates(s, W)) : delta;
}

// x [..., 2] -> complex [...]; a slice that starts between two pairs of its memory is copied.
Tensor as_complex(const Tensor& x) {
  const auto dense = x.contiguous();
  return at::view_as_complex(dense.storage_offset() % 2 ? dense.clone() : dense);
}

// [B, L, N(, 2)] or [E, N(, 2)] as it meets [B, L, E, N].
Tensor beside_states(const Tensor& x, bool is_complex) {
  const auto values = is_complex ? as_complex(x) : x;
  return values.dim() == 3 ? values.unsqueeze(2) : values;
}

// y without skip and gate.
template <bool plain>
std::pair<Tensor, Tensor> complex_states(const SelectiveScan& s, const Tensor& W) {
  // Phases grow with the sequence, so they are summed in double.
  const auto phase = s.delta.to(at::kDouble).cumsum(1).unsqueeze(-1) * W.to(at::kDouble);
  const auto turn = at::complex(phase.cos().to(s.x.scalar_type()), phase.sin().to(s.x.scalar_type()));
  auto u = s.x.unsqueeze(-1) * beside_states(s.B, true) * turn.conj();
  if (s.zoh) u = u * mean_exponential(s.delta.unsqueeze(-1) * rates(s, W));
  SelectiveScan parts;  // real and imaginary parts are states beside each other
  parts.delta = s.delta, parts.A = s.A.repeat_interleave(2, 1);
  if (s.h0.defined()) parts.h0 = s.h0.flatten(2);
  const auto [g, last] = scan_states(parts, at::view_as_real(u).flatten(3), plain);
  const auto pairs = [](const Tensor& x) { return as_complex(x.unflatten(-1, {-1, 2})); };
  const auto h = pairs(g) * turn;
  const auto y = 2 * at::real((h * beside_states(s.C, true)).sum(-1));
  return {y, at::view_as_real(pairs(last) * turn.select(1, -1))};
}

}  // namespace

std::pair<Tensor, Tensor> complex_scan(const SelectiveScan& s, const Tensor& W, bool plain) {
  const auto [y, last] = plain ? complex_states<true>(s, W) : scan_in_chunks(s, W, complex_states<false>);
  return {skip_and_gate(s, y), last};
}

Tensor selective_scan_matrix(const SelectiveScan& s, const Tensor& W) {
  const int64_t length = s.x.size(1), states = s.A.size(1);
  const std::vector<int64_t> shape = {s.x.size(0), length, s.A.size(0), states};
  const auto a = rates(s, W);
  // [N, B, E, L]
  const auto by_state = [&](const Tensor& x) { return x.expand(shape).permute({3, 0, 2, 1}); };
  const auto in = by_state(input_factor(s, W) * beside_states(s.B, W.defined()));
  const auto out = by_state(beside_states(s.C, W.defined()));
  const auto sums = s.delta.cumsum(1).transpose(1, 2);
  const auto gaps = (sums.unsqueeze(-1) - sums.unsqueeze(-2)).tril();  // [B, E, L, L], not negative
  Tensor total;
  for (int64_t n = 0; n < states; ++n) {
    const auto decay = (gaps * a.select(1, n).view({-1, 1, 1})).exp();
    const auto term = out[n].unsqueeze(-1) * decay * in[n].unsqueeze(-2);
    const auto real = W.defined() ? 2 * at::real(term) : term;
    total = total.defined() ? total + real : real;
  }
  total = total.tril();
  return s.D.defined() ? total + at::diag_embed(s.D.unsqueeze(-1).expand({-1, length})) : total;
}

}  // namespace formwork
