#include "formwork/mixers/attention/fused.h"

#include "formwork/kernels/cpu/attention.h"

namespace formwork {
namespace {

struct SavedPlan final : torch::CustomClassHolder {
  explicit SavedPlan(AttentionPlan plan) : plan(std::move(plan)) {}
  AttentionPlan plan;
};

HeadView<const float> read(const Tensor& x, int64_t row, int64_t token) {
  return {x.const_data_ptr<float>() + row * x.stride(0) + token * x.stride(1), x.stride(0), x.stride(2),
          x.stride(1)};
}

HeadView<float> write(Tensor& x, int64_t row, int64_t token) {
  return {x.mutable_data_ptr<float>() + row * x.stride(0) + token * x.stride(1), x.stride(0), x.stride(2),
          x.stride(1)};
}

const int64_t* lengths_of(const Tensor& lengths, const AttentionRun& run) {
  return lengths.defined() ? lengths.const_data_ptr<int64_t>() + run.sequence : nullptr;
}

// The bias of query i and key j of a run lies at column j - i - place - nearest of its head.
template <class T>
AttentionBias<T> bias_by_distance(T* data, const Tensor& bias, const AttentionPlan& plan,
                                  const AttentionRun& run) {
  return {data - run.place - plan.nearest, 0, bias.stride(0), -1, 1};
}

struct Operands {
  const Tensor &q, &k, &v, &bias;
};

Attention<float> describe(const AttentionPlan& plan, const AttentionRun& run, const Operands& x) {
  Attention<float> attention{};
  attention.shape = {run.rows, x.q.size(2), x.k.size(2), run.queries, run.keys, x.q.size(3), x.v.size(3)};
  attention.mask.causal = plan.causal;
  attention.mask.query_offset = run.place;
  attention.mask.window = plan.window;
  attention.mask.key_lengths = lengths_of(plan.key_lengths, run);
  attention.mask.prefix_lengths = lengths_of(plan.prefix, run);
  attention.scale = static_cast<float>(plan.scale);
  if (plan.slopes.defined()) attention.slopes = plan.slopes.const_data_ptr<float>();
  if (x.bias.defined()) attention.bias = bias_by_distance(x.bias.const_data_ptr<float>(), x.bias, plan, run);
  return attention;
}

// Runs lie one after another: [rows, H, queries] each.
int64_t place_of_logsumexp(const AttentionRun& run, const Tensor& q) {
  return q.size(2) * (run.row * q.size(1) + run.query);
}

class FusedAttention : public torch::autograd::Function<FusedAttention> {
 public:
  using Saved = torch::autograd::AutogradContext;
  using List = torch::autograd::variable_list;

  static Tensor forward(Saved* saved, const Tensor& q, const Tensor& k, const Tensor& v,
                        const std::optional<Tensor>& given, const c10::intrusive_ptr<SavedPlan>& holder) {
    const auto bias = given.value_or(Tensor());
    const auto& plan = holder->plan;
    auto o = at::empty({q.size(0), q.size(1), q.size(2), v.size(3)}, q.options());
    auto logsumexp = at::empty({q.size(0) * q.size(1) * q.size(2)}, q.options());
    for (const auto& run : plan.runs)
      attention_forward(describe(plan, run, {q, k, v, bias}), read(q, run.row, run.query),
                        read(k, run.row, run.key), read(v, run.row, run.key), write(o, run.row, run.query),
                        logsumexp.mutable_data_ptr<float>() + place_of_logsumexp(run, q));
    saved->save_for_backward({q, k, v, bias, o, logsumexp});
    saved->saved_data["plan"] = c10::IValue::make_capsule(holder);
    return o;
  }

  static List backward(Saved* saved, const List& gradients) {
    const auto tensors = saved->get_saved_variables();
    const Tensor &q = tensors[0], &k = tensors[1], &v = tensors[2], &bias = tensors[3], &o = tensors[4];
    const float* logsumexp = tensors[5].const_data_ptr<float>();
    const auto holder = c10::static_intrusive_pointer_cast<SavedPlan>(saved->saved_data["plan"].toCapsule());
    const auto& plan = holder->plan;
    const auto d_o = gradients[0].contiguous();
    auto dq = at::empty(q.sizes(), q.options()), dk = at::zeros(k.sizes(), k.options()),
         dv = at::zeros(v.sizes(), v.options());
    const bool learned = bias.defined() && saved->needs_input_grad(3);
    auto dbias = learned ? at::zeros(bias.sizes(), bias.options()) : Tensor();
    for (const auto& run : plan.runs) {
      AttentionGradients<float> to{};
      to.dq = write(dq, run.row, run.query), to.dk = write(dk, run.row, run.key),
      to.dv = write(dv, run.row, run.key);
      if (learned) to.dbias = bias_by_distance(dbias.mutable_data_ptr<float>(), dbias, plan, run);
      attention_backward(describe(plan, run, {q, k, v, bias}),
                         {read(q, run.row, run.query), read(k, run.row, run.key), read(v, run.row, run.key),
                          read(o, run.row, run.query), logsumexp + place_of_logsumexp(run, q)},
                         read(d_o, run.row, run.query), to);
    }
    return {dq, dk, dv, dbias, Tensor()};
  }
};

bool fits(const Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.numel() > 0 && x.stride(-1) == 1;
}

}  // namespace

bool fits_fused_attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  return fits(q) && fits(k) && fits(v);
}

Tensor fused_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                       AttentionPlan plan) {
  for (Tensor* lengths : {&plan.key_lengths, &plan.prefix})
    if (lengths->defined()) *lengths = lengths->to(at::kLong).contiguous();
  // Autograd takes no undefined tensors.
  const auto given = bias.defined() ? std::optional<Tensor>(bias.contiguous()) : std::nullopt;
  return FusedAttention::apply(q, k, v, given, c10::make_intrusive<SavedPlan>(std::move(plan)));
}

}  // namespace formwork
