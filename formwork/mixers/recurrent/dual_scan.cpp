#include "formwork/mixers/recurrent/dual_scan.h"

namespace formwork {
namespace {

// Sizes of a scan; R heads to a group.
struct Sizes {
  int64_t batch, tokens, groups, heads, width, states;
  explicit Sizes(const DualScan& s)
      : batch(s.x.size(0)),
        tokens(s.x.size(1)),
        groups(s.B.size(2)),
        heads(s.x.size(2) / groups),
        width(s.x.size(3)),
        states(s.B.size(3)) {}
};

// [B, L, ...] -> [B, K, chunk, ...], with zeros behind the last token.
Tensor in_blocks(const Tensor& x, int64_t chunk) {
  const int64_t missing = (chunk - x.size(1) % chunk) % chunk;
  std::vector<int64_t> padding(static_cast<size_t>(2 * (x.dim() - 1)), 0);
  padding.back() = missing;
  return (missing ? at::constant_pad_nd(x, padding) : x).unflatten(1, {-1, chunk});
}

Tensor gained(const DualScan& s) { return s.gain.defined() ? s.x * s.gain.unsqueeze(-1) : s.x; }

// What a block needs, head by head: numbers of tokens [B, K, G, R, c] and matrices [B, K, G, c, N].
struct Blocks {
  Tensor sums;   // of delta A up to and with each token, in float64: [B, K, G, R, c]
  Tensor B, C;   // [B, K, G, c, N]
  Tensor input;  // g x, [B, K, c, G, R, P]
};

Blocks blocks_of(const DualScan& s, const Sizes& n, int64_t chunk) {
  const auto heads = [&](const Tensor& x) { return in_blocks(x, chunk).unflatten(3, {n.groups, n.heads}); };
  const auto rates = (s.delta.to(at::kDouble) * s.A.to(at::kDouble));
  return {heads(rates).permute({0, 1, 3, 4, 2}).cumsum(-1), in_blocks(s.B, chunk).transpose(2, 3),
          in_blocks(s.C, chunk).transpose(2, 3), heads(gained(s))};
}

// How much of the input of token s reaches token t of the block: [B, K, G, R, c, c].
Tensor weights_of(const Blocks& b) {
  const auto gaps = (b.sums.unsqueeze(-1) - b.sums.unsqueeze(-2)).tril().to(b.B.scalar_type());
  return b.C.matmul(b.B.transpose(-1, -2)).tril().unsqueeze(3) * gaps.exp();
}

// The states before each block, [B, K, G, R P, N], and the last one.
std::pair<Tensor, Tensor> border_states(const Blocks& b, const Sizes& n, const Tensor& h0) {
  const auto type = b.B.scalar_type();
  const auto last = b.sums.narrow(-1, b.sums.size(-1) - 1, 1);
  const auto to_end = (last - b.sums).exp().to(type);  // [B, K, G, R, c]
  const auto decayed = b.input * to_end.permute({0, 1, 4, 2, 3}).unsqueeze(-1);
  const auto added = decayed.flatten(4).permute({0, 1, 3, 4, 2}).matmul(b.B);  // [B, K, G, R P, N]
  const auto through = last.exp()
                           .to(type)
                           .expand({-1, -1, -1, -1, n.width})
                           .reshape({n.batch, -1, n.groups, n.heads * n.width, 1});
  auto h = h0.defined() ? h0.reshape({n.batch, n.groups, n.heads * n.width, n.states})
                        : at::zeros({n.batch, n.groups, n.heads * n.width, n.states}, b.B.options());
  std::vector<Tensor> before;
  for (int64_t k = 0; k < added.size(1); ++k) {
    before.push_back(h);
    h = at::addcmul(added.select(1, k), through.select(1, k), h);
  }
  return {at::stack(before, 1), h.reshape({n.batch, n.groups * n.heads, n.width, n.states})};
}

Tensor with_skip(const DualScan& s, const Tensor& y) {
  return s.D.defined() ? y + s.D.unsqueeze(-1) * s.x : y;
}

std::pair<Tensor, Tensor> in_chunks(const DualScan& s, int64_t chunk) {
  const Sizes n(s);
  const auto blocks = blocks_of(s, n, chunk);
  const auto inside = weights_of(blocks).matmul(blocks.input.permute({0, 1, 3, 4, 2, 5}));
  const auto [before, last] = border_states(blocks, n, s.h0);
  const auto carried = blocks.C.matmul(before.transpose(-1, -2)).unflatten(-1, {n.heads, n.width});
  const auto decay = blocks.sums.exp().to(s.x.scalar_type()).transpose(3, 4).unsqueeze(-1);
  // [B, K, G, c, R, P] and [B, K, G, R, c, P] to tokens in order.
  const auto y = at::addcmul(inside.permute({0, 1, 4, 2, 3, 5}), carried.permute({0, 1, 3, 2, 4, 5}),
                             decay.permute({0, 1, 3, 2, 4, 5}));
  return {with_skip(s, y.flatten(3, 4).flatten(1, 2).narrow(1, 0, n.tokens)), last};
}

}  // namespace

std::pair<Tensor, Tensor> dual_scan(const DualScan& s, int64_t chunk) {
  return s.x.size(1) == 1 ? dual_scan_steps(s) : in_chunks(s, std::min(chunk, s.x.size(1)));
}

std::pair<Tensor, Tensor> dual_scan_steps(const DualScan& s) {
  const Sizes n(s);
  const std::vector<int64_t> heads = {n.groups, n.heads};
  auto h =
      (s.h0.defined() ? s.h0 : at::zeros({n.batch, n.groups * n.heads, n.width, n.states}, s.x.options()))
          .unflatten(1, heads);
  const auto decay = (s.delta * s.A).exp().unflatten(2, heads);
  const auto input = gained(s).unflatten(2, heads);
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < n.tokens; ++t) {
    // [B, G, R, 1, 1] [B, G, R, P, N] + [B, G, R, P, 1] [B, G, 1, 1, N]
    h = decay.select(1, t).unsqueeze(-1).unsqueeze(-1) * h +
        input.select(1, t).unsqueeze(-1) * s.B.select(1, t).unsqueeze(2).unsqueeze(2);
    rows.push_back(h.matmul(s.C.select(1, t).unsqueeze(2).unsqueeze(-1)).squeeze(-1).flatten(1, 2));
  }
  return {with_skip(s, at::stack(rows, 1)), h.flatten(1, 2)};
}

Tensor dual_scan_matrix(const DualScan& s) {
  const Sizes n(s);
  const auto weights = weights_of(blocks_of(s, n, n.tokens)).squeeze(1).flatten(1, 2);  // [B, H, L, L]
  const auto matrix = s.gain.defined() ? weights * s.gain.transpose(1, 2).unsqueeze(2) : weights;
  return s.D.defined() ? matrix + at::diag_embed(s.D.unsqueeze(-1).expand({-1, n.tokens})) : matrix;
}

}  // namespace formwork
