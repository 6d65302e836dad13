#include "formwork/mixers/recurrent/chunked_scan.h"

namespace formwork {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr size_t kDelta = 0, kA = 1, kB = 2, kC = 3, kX = 4, kState = 5, kW = 6;
using Inputs = std::array<Tensor, 7>;

std::pair<Tensor, Tensor> call(ScanBody body, const Inputs& in, bool zoh) {
  SelectiveScan scan;
  scan.delta = in[kDelta], scan.A = in[kA], scan.B = in[kB], scan.C = in[kC], scan.x = in[kX];
  scan.h0 = in[kState], scan.zoh = zoh;
  return body(scan, in[kW]);
}

int64_t chunks_of(const Inputs& in) { return (in[kX].size(1) + kScanChunk - 1) / kScanChunk; }

// Whether an input has a row for each token, rather than constants.
bool along_tokens(const Inputs& in, size_t i) {
  if (i == kDelta || i == kX) return true;
  const int64_t constant = in[kW].defined() ? 3 : 2;  // dimensions of [E, N(, 2)]
  return (i == kB || i == kC) && in[i].dim() > constant;
}

// The inputs of a chunk; `state` before it.
Inputs chunk_of(const Inputs& in, int64_t chunk, const Tensor& state) {
  const int64_t first = chunk * kScanChunk, length = std::min(kScanChunk, in[kX].size(1) - first);
  Inputs part = in;
  for (size_t i = 0; i < part.size(); ++i)
    if (part[i].defined() && along_tokens(in, i)) part[i] = in[i].narrow(1, first, length);
  part[kState] = state;
  return part;
}

struct ScanResult {
  Tensor y, state, borders;  // borders: the states before each chunk, [chunks, ...]
};

ScanResult run(ScanBody body, const Inputs& in, bool zoh) {
  const at::NoGradGuard guard;
  std::vector<Tensor> rows, borders;
  auto state = in[kState];
  for (int64_t chunk = 0; chunk < chunks_of(in); ++chunk) {
    borders.push_back(state);
    auto [y, after] = call(body, chunk_of(in, chunk, state), zoh);
    rows.push_back(y);
    state = after;
  }
  return {at::cat(rows, 1), state, at::stack(borders)};
}

class Chunked : public torch::autograd::Function<Chunked> {
 public:
  static variable_list forward(AutogradContext* ctx, const Tensor& delta, const Tensor& A, const Tensor& B,
                               const Tensor& C, const Tensor& x, const Tensor& h0,
                               const std::optional<Tensor>& W, bool zoh, int64_t body) {
    const Inputs in = {delta, A, B, C, x, h0, W.value_or(Tensor())};
    const auto result = run(reinterpret_cast<ScanBody>(body), in, zoh);
    ctx->save_for_backward({delta, A, B, C, x, result.borders, in[kW]});
    ctx->saved_data["zoh"] = zoh;
    ctx->saved_data["body"] = body;
    ctx->set_materialize_grads(false);
    return {result.y, result.state};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    Inputs in;
    std::copy(saved.begin(), saved.end(), in.begin());
    const auto borders = in[kState];
    const auto body = reinterpret_cast<ScanBody>(ctx->saved_data["body"].toInt());
    const bool zoh = ctx->saved_data["zoh"].toBool();
    Totals totals(in);
    auto d_state = gradients[1].defined() ? gradients[1] : at::zeros_like(borders[0]);
    for (int64_t chunk = chunks_of(in) - 1; chunk >= 0; --chunk) {
      auto part = chunk_of(in, chunk, borders[chunk]);
      const auto d_y = gradients[0].defined() ? gradients[0].narrow(1, chunk * kScanChunk, part[kX].size(1))
                                              : at::zeros_like(part[kX]);
      d_state = totals.add(chunk, part, derivatives(body, part, zoh, d_y, d_state));
    }
    variable_list out(totals.sums.begin(), totals.sums.end());
    out[kState] = d_state;
    out.resize(9);
    return out;
  }

 private:
  // Gradients of the inputs that were added up so far.
  struct Totals {
    explicit Totals(const Inputs& in) : whole(in) {
      for (size_t i = 0; i < in.size(); ++i)
        if (in[i].defined() && i != kState) sums[i] = at::zeros_like(in[i]);
    }
    // -> the gradient of the state before the chunk.
    Tensor add(int64_t chunk, const Inputs& part, const std::vector<Tensor>& found) {
      Tensor d_state;
      size_t next = 0;
      for (size_t i = 0; i < part.size(); ++i) {
        if (!part[i].defined()) continue;
        const auto& gradient = found[next++];
        if (i == kState)
          d_state = gradient;
        else if (along_tokens(whole, i))
          sums[i].narrow(1, chunk * kScanChunk, part[kX].size(1)).add_(gradient);
        else
          sums[i].add_(gradient);
      }
      return d_state;
    }
    const Inputs& whole;
    Inputs sums;
  };

  // Of the defined inputs of a chunk, in order; makes the chunk's inputs leaves.
  static std::vector<Tensor> derivatives(ScanBody body, Inputs& part, bool zoh, const Tensor& d_y,
                                         const Tensor& d_state) {
    const at::AutoGradMode enabled(true);
    std::vector<Tensor> leaves;
    for (auto& input : part)
      if (input.defined()) leaves.push_back(input = input.detach().requires_grad_());
    const auto [y, state] = call(body, part, zoh);
    return torch::autograd::grad({y, state}, leaves, {d_y, d_state});
  }
};

}  // namespace

std::pair<Tensor, Tensor> scan_in_chunks(const SelectiveScan& scan, const Tensor& W, ScanBody body) {
  if (scan.x.size(1) <= kScanChunk) return body(scan, W);
  auto state = scan.h0;
  if (!state.defined()) {
    std::vector<int64_t> shape = {scan.x.size(0), scan.x.size(2), scan.A.size(1)};
    if (W.defined()) shape.push_back(2);
    state = at::zeros(shape, scan.x.options().requires_grad(false));
  }
  const auto out = Chunked::apply(scan.delta, scan.A, scan.B, scan.C, scan.x, state,
                                  W.defined() ? std::optional(W) : std::nullopt, scan.zoh,
                                  reinterpret_cast<int64_t>(body));
  return {out[0], out[1]};
}

}  // namespace formwork
