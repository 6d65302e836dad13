#include "formwork/mixers/attention/stick_breaking_fused.h"

#include "formwork/kernels/cpu/stick_breaking.h"

namespace formwork {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Call {
  Tensor q, k, v, lengths;
  double scale;
  int64_t offset;
};

template <class T>
HeadView<T> view(const Tensor& x) {
  using Element = std::remove_const_t<T>;
  return {const_cast<Element*>(x.const_data_ptr<Element>()), x.stride(0), x.stride(1), x.stride(2)};
}

// As [B, T, H, d] in memory, which is how the projections want it.
Tensor heads_inside(const Tensor& like) {
  return at::empty({like.size(0), like.size(2), like.size(1), like.size(3)}, like.options()).transpose(1, 2);
}

Tensor dense_width(const Tensor& x) { return x.stride(3) == 1 ? x : x.contiguous(); }

template <class T>
StickBreakingInput<T> describe(const Call& c) {
  StickBreakingInput<T> in;
  in.batch = c.q.size(0), in.heads = c.q.size(1), in.key_heads = c.k.size(1);
  in.queries = c.q.size(2), in.keys = c.k.size(2), in.width = c.q.size(3);
  in.scale = static_cast<T>(c.scale), in.offset = c.offset;
  in.key_lengths = c.lengths.defined() ? c.lengths.const_data_ptr<int64_t>() : nullptr;
  in.q = view<const T>(c.q), in.k = view<const T>(c.k), in.v = view<const T>(c.v);
  return in;
}

Tensor run_forward(const Call& c) {
  const auto out = heads_inside(c.q);
  if (c.q.scalar_type() == at::kFloat)
    stick_breaking_forward(describe<float>(c), view<float>(out));
  else
    stick_breaking_forward(describe<double>(c), view<double>(out));
  return out;
}

class FusedStick : public torch::autograd::Function<FusedStick> {
 public:
  static Tensor forward(AutogradContext* ctx, const Tensor& q, const Tensor& k, const Tensor& v,
                        const std::optional<Tensor>& lengths, double scale, int64_t offset) {
    const Call call{q, k, v, lengths.value_or(Tensor()), scale, offset};
    const auto out = run_forward(call);
    ctx->save_for_backward({q, k, v, call.lengths, out});
    ctx->saved_data["scale"] = scale;
    ctx->saved_data["offset"] = offset;
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Call c{saved[0],
                 saved[1],
                 saved[2],
                 saved[3],
                 ctx->saved_data["scale"].toDouble(),
                 ctx->saved_data["offset"].toInt()};
    const auto d_out = dense_width(gradients[0]);
    const auto dq = heads_inside(c.q), dk = heads_inside(c.k), dv = heads_inside(c.v);
    const auto run = [&](auto zero) {
      using T = decltype(zero);
      stick_breaking_backward(describe<T>(c), view<const T>(saved[4]), view<const T>(d_out), view<T>(dq),
                              view<T>(dk), view<T>(dv));
    };
    c.q.scalar_type() == at::kFloat ? run(float{}) : run(double{});
    return {dq, dk, dv, Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

bool stick_breaking_is_fused(const Tensor& q, const Tensor& k, const Tensor& v) {
  const auto type = q.scalar_type();
  return q.is_cpu() && (type == at::kFloat || type == at::kDouble) && k.scalar_type() == type &&
         v.scalar_type() == type && q.size(3) == v.size(3) && q.numel() > 0 && k.numel() > 0;
}

Tensor stick_breaking_fused(const Tensor& q, const Tensor& k, const Tensor& v, double scale, int64_t offset,
                            const Tensor& lengths) {
  const Call c{dense_width(q), dense_width(k),
               dense_width(v), lengths.defined() ? lengths.contiguous() : lengths,
               scale,          offset};
  const bool gradient =
      at::GradMode::is_enabled() && (q.requires_grad() || k.requires_grad() || v.requires_grad());
  if (!gradient) return run_forward(c);
  return FusedStick::apply(c.q, c.k, c.v, lengths.defined() ? std::optional(c.lengths) : std::nullopt, scale,
                           offset);
}

}  // namespace formwork
