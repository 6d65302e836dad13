#include "formwork/mixers/attention/fused.h"

#include <ATen/core/grad_mode.h>

#include "formwork/core/reuse.h"
#include "formwork/kernels/cpu/attention.h"
#include "formwork/positions/fused.h"

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

struct Result {
  Tensor o, logsumexp;
};

Result attend(const AttentionPlan& plan, const Operands& x) {
  Result result{at::empty({x.q.size(0), x.q.size(1), x.q.size(2), x.v.size(3)}, x.q.options()),
                at::empty({x.q.size(0) * x.q.size(1) * x.q.size(2)}, x.q.options())};
  float* logsumexp = result.logsumexp.mutable_data_ptr<float>();
  for (const auto& run : plan.runs)
    attention_forward(describe(plan, run, x), read(x.q, run.row, run.query), read(x.k, run.row, run.key),
                      read(x.v, run.row, run.key), write(result.o, run.row, run.query),
                      logsumexp + place_of_logsumexp(run, x.q));
  return result;
}

struct Gradients {
  Tensor q, k, v, bias;
};

void attend_backward(const AttentionPlan& plan, const Operands& x, const Result& result, const Tensor& d_o,
                     Gradients& to) {
  const float* logsumexp = result.logsumexp.const_data_ptr<float>();
  for (const auto& run : plan.runs) {
    AttentionGradients<float> gradients{};
    gradients.dq = write(to.q, run.row, run.query), gradients.dk = write(to.k, run.row, run.key),
    gradients.dv = write(to.v, run.row, run.key);
    if (to.bias.defined())
      gradients.dbias = bias_by_distance(to.bias.mutable_data_ptr<float>(), to.bias, plan, run);
    attention_backward(
        describe(plan, run, x),
        {read(x.q, run.row, run.query), read(x.k, run.row, run.key), read(x.v, run.row, run.key),
         read(result.o, run.row, run.query), logsumexp + place_of_logsumexp(run, x.q)},
        read(d_o, run.row, run.query), gradients);
  }
}

using Saved = torch::autograd::AutogradContext;
using List = torch::autograd::variable_list;

template <class T>
c10::intrusive_ptr<T> held(Saved* saved) {
  return c10::static_intrusive_pointer_cast<T>(saved->saved_data["plan"].toCapsule());
}

class FusedAttention : public torch::autograd::Function<FusedAttention> {
 public:
  static Tensor forward(Saved* saved, const Tensor& q, const Tensor& k, const Tensor& v,
                        const std::optional<Tensor>& given, const c10::intrusive_ptr<SavedPlan>& holder) {
    const auto bias = given.value_or(Tensor());
    const auto result = attend(holder->plan, {q, k, v, bias});
    saved->save_for_backward({q, k, v, bias, result.o, result.logsumexp});
    saved->saved_data["plan"] = c10::IValue::make_capsule(holder);
    return result.o;
  }

  static List backward(Saved* saved, const List& gradients) {
    const auto tensors = saved->get_saved_variables();
    const Tensor &q = tensors[0], &k = tensors[1], &v = tensors[2], &bias = tensors[3];
    const bool learned = bias.defined() && saved->needs_input_grad(3);
    Gradients to{at::empty(q.sizes(), q.options()), at::zeros(k.sizes(), k.options()),
                 at::zeros(v.sizes(), v.options()),
                 learned ? at::zeros(bias.sizes(), bias.options()) : Tensor()};
    attend_backward(held<SavedPlan>(saved)->plan, {q, k, v, bias}, {tensors[4], tensors[5]},
                    gradients[0].contiguous(), to);
    return {to.q, to.k, to.v, to.bias, Tensor()};
  }
};

struct SavedSelf final : torch::CustomClassHolder {
  SavedSelf(AttentionPlan plan, AttentionHeads heads, bool owned)
      : plan(std::move(plan)), heads(heads), owned(owned) {}
  AttentionPlan plan;
  AttentionHeads heads;
  bool owned;
};

class FusedSelfAttention : public torch::autograd::Function<FusedSelfAttention> {
 public:
  static Tensor forward(Saved* saved, const Tensor& given, const Tensor& cosines, const Tensor& sines,
                        const c10::intrusive_ptr<SavedSelf>& holder) {
    const auto& heads = holder->heads;
    const bool owned = holder->owned || given.scalar_type() != at::kFloat;
    const auto qkv = owned ? given.to(at::kFloat) : given.clone();
    const ProjectionParts parts(qkv, heads);
    if (cosines.numel() > 0) turn_in_place(parts.turning, cosines, sines, heads.halves, false);
    const auto result = attend(holder->plan, {parts.q, parts.k, parts.v, Tensor()});
    saved->save_for_backward({qkv, cosines, sines, result.o, result.logsumexp});
    saved->saved_data["plan"] = c10::IValue::make_capsule(holder);
    saved->saved_data["dtype"] = static_cast<int64_t>(given.scalar_type());
    return result.o.to(given.scalar_type());
  }

  static List backward(Saved* saved, const List& gradients) {
    const auto tensors = saved->get_saved_variables();
    const auto holder = held<SavedSelf>(saved);
    const auto gradient = place_for(tensors[0], holder->plan);
    const ProjectionParts parts(tensors[0], holder->heads), to(gradient, holder->heads);
    Gradients views{to.q, to.k, to.v, Tensor()};
    attend_backward(holder->plan, {parts.q, parts.k, parts.v, Tensor()}, {tensors[3], tensors[4]},
                    gradients[0].to(at::kFloat).contiguous(), views);
    if (tensors[1].numel() > 0) turn_in_place(to.turning, tensors[1], tensors[2], holder->heads.halves, true);
    const auto dtype = static_cast<at::ScalarType>(saved->saved_data["dtype"].toInt());
    return {gradient.to(dtype), Tensor(), Tensor(), Tensor()};
  }

 private:
  // Zeros, unless every token is a query of some run, so that no gradient stays unwritten; then the
  // projection's own memory where it is free.
  static Tensor place_for(const Tensor& qkv, const AttentionPlan& plan) {
    int64_t queries = 0;
    for (const auto& run : plan.runs) queries += run.rows * run.queries;
    if (queries != qkv.size(0) * qkv.size(1)) return at::zeros(qkv.sizes(), qkv.options());
    return may_overwrite_saved(qkv) ? qkv.detach() : at::empty(qkv.sizes(), qkv.options());
  }
};

bool fits(const Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.numel() > 0 && x.stride(-1) == 1;
}

// Autograd takes no undefined tensors, the kernels no other layouts.
void make_dense(AttentionPlan& plan) {
  for (Tensor* lengths : {&plan.key_lengths, &plan.prefix})
    if (lengths->defined()) *lengths = lengths->to(at::kLong).contiguous();
}

}  // namespace

bool fits_fused_attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  return fits(q) && fits(k) && fits(v);
}

Tensor fused_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                       AttentionPlan plan) {
  make_dense(plan);
  if (!at::GradMode::is_enabled())
    return attend(plan, {q, k, v, bias.defined() ? bias.contiguous() : Tensor()}).o;
  const auto given = bias.defined() ? std::optional<Tensor>(bias.contiguous()) : std::nullopt;
  return FusedAttention::apply(q, k, v, given, c10::make_intrusive<SavedPlan>(std::move(plan)));
}

ProjectionParts::ProjectionParts(const Tensor& qkv, const AttentionHeads& heads) {
  const int64_t row = qkv.size(-1);
  const auto part = [&](int64_t first, int64_t count, int64_t width) {
    return qkv.as_strided({qkv.size(0), qkv.size(1), count, width}, {qkv.size(1) * row, row, width, 1},
                          qkv.storage_offset() + first);
  };
  turning = part(0, heads.turning(), heads.width);
  q = part(0, heads.queries, heads.width);
  k = part(heads.queries * heads.width, heads.keys, heads.width);
  v = part(heads.turning() * heads.width, heads.keys, heads.value_width);
}

ProjectionParts turn_projection(Tensor qkv, const AttentionHeads& heads, const Turn& turn) {
  const bool turns = turn.cosines.defined();
  if (turns && !only_held_by(qkv, 1)) qkv = qkv.clone();
  const ProjectionParts parts(qkv, heads);
  if (turns)
    turn_in_place(parts.turning, turn.cosines.contiguous(), turn.sines.contiguous(), turn.halves, false);
  return parts;
}

bool fits_fused_self_attention(const Tensor& qkv) {
  const auto dtype = qkv.scalar_type();
  return qkv.is_cpu() && qkv.is_contiguous() && qkv.numel() > 0 &&
         (dtype == at::kFloat || dtype == at::kBFloat16);
}

Tensor fused_self_attention(Tensor qkv, const AttentionHeads& heads, const Turn& turn, AttentionPlan plan) {
  make_dense(plan);
  // Nobody else holds it: neither a listener nor the map that made it.
  const bool owned = only_held_by(qkv, 1);
  auto shape = heads;
  shape.halves = turn.halves;
  const auto table = [&](const Tensor& given) {
    return given.defined() ? given.contiguous() : at::empty({0}, qkv.options().dtype(at::kFloat));
  };
  return FusedSelfAttention::apply(qkv, table(turn.cosines), table(turn.sines),
                                   c10::make_intrusive<SavedSelf>(std::move(plan), shape, owned));
}

}  // namespace formwork
