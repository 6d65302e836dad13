#include "formwork/mixers/fast_weights/inner_loop.h"

namespace formwork {
namespace {

// x [B, ...] where flags [B], y elsewhere.
Tensor choose(const Tensor& flags, const Tensor& x, const Tensor& y) {
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[0] = flags.size(0);
  return at::where(flags.view(shape), x, y);
}

Tensor with_columns(const Tensor& weight, int64_t more) {
  return more > 0 ? at::constant_pad_nd(weight, {0, more}) : weight;
}

// Tokens [first, first + count) of x [B, H, T, ...]; undefined stays so.
Tensor slice(const Tensor& x, int64_t first, int64_t count, int64_t dim = 2) {
  return x.defined() ? x.narrow(dim, first, count) : x;
}

InnerTokens slice(const InnerTokens& t, int64_t first, int64_t count) {
  return {slice(t.queries, first, count), slice(t.keys, first, count),   slice(t.values, first, count),
          slice(t.gates, first, count),   slice(t.decay, first, count),  slice(t.momentum, first, count),
          slice(t.rate, first, count),    slice(t.keep, first, count, 1)};
}

Tensor joined(const Tensor& before, const Tensor& x) {
  return before.defined() ? at::cat({before, x}, 2) : x;
}

// The last `kept` tokens of x [B, H, m, ...] once each row has taken counts[b] of its last n (undefined:
// all).
Tensor last_taken(const Tensor& x, int64_t kept, const Tensor& counts, int64_t dim) {
  if (!counts.defined()) return x.narrow(dim, x.size(dim) - kept, kept);
  auto places = counts.unsqueeze(1) + at::arange(kept, counts.options());  // [B, kept]
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1), wide = x.sizes().vec();
  shape[0] = x.size(0), shape[static_cast<size_t>(dim)] = wide[static_cast<size_t>(dim)] = kept;
  return x.gather(dim, places.view(shape).expand(wide));
}

// One call: moves a state on, a part of a chunk at a time.
class Loop {
 public:
  Loop(const InnerLoop& loop, FastState& state) : loop_(loop), state_(state) {}

  // Tokens until the first row's chunk ends; rows whose chunk begins take their weights as its anchor.
  int64_t begin_segment() {
    if (loop_.chunk == 1) return 1;
    const auto done = state_.seen.remainder(loop_.chunk);
    const auto begins = done.eq(0);
    const bool all = begins.all().item<bool>();
    for (size_t j = 0; j < state_.weights.size(); ++j)
      state_.anchors[j] = all ? state_.weights[j] : choose(begins, state_.weights[j], state_.anchors[j]);
    return loop_.chunk - (all ? 0 : done.max().item<int64_t>());
  }

  // y [B, H, n, dv] of tokens whose keys and queries are features.
  Tensor run(const InnerTokens& tokens) {
    auto window = join_window(tokens);
    const auto features = make_features(tokens, window);
    const auto gradients = gradients_at_anchor(features, window);
    const auto y = loop_.memory->read(descend(tokens, window, features, gradients), features.queries);
    move_on(tokens, window);
    return y;
  }

 private:
  // The segment's tokens with the c - 1 before them.
  struct Window {
    Tensor keys, values, gates;  // [B, H, m, ...]
    Tensor places;               // [B, m] in the store
  };

  Window join_window(const InnerTokens& t) const {
    return {joined(state_.keys, t.keys), joined(state_.values, t.values), joined(state_.gates, t.gates), {}};
  }

  Features make_features(const InnerTokens& t, Window& window) {
    if (loop_.features->by_kernel()) window.places = store_keys(t.keys);
    return loop_.features->of_segment(window.keys, t.queries, {state_.store.keys, window.places},
                                      loop_.optimizer->reads_metric());
  }

  // Gives new keys columns; where those of the window stand.
  Tensor store_keys(const Tensor& keys) {
    const int64_t stored = state_.store.keys.size(2), count = keys.size(2);
    state_.store.keys = at::cat({state_.store.keys, keys}, 2);
    for (auto* list : {&state_.weights, &state_.anchors, &state_.momenta})
      for (size_t j = 0; j < list->size() && j < loop_.memory->readers(); ++j)
        (*list)[j] = with_columns((*list)[j], count);
    const auto places =
        at::arange(stored, stored + count, state_.seen.options()).expand({state_.seen.size(0), count});
    return state_.store.places.defined() ? at::cat({state_.store.places, places}, 1) : places;
  }

  std::vector<RankOne> gradients_at_anchor(const Features& features, const Window& window) const {
    const auto& anchors = loop_.chunk == 1 ? state_.weights : state_.anchors;
    return loop_.memory->gradients(anchors, features.keys, features.writes, [&](const Tensor& y) {
      check_finite(y.detach(), window.values.detach());
      return output_error(loop_.loss, y, window.values);
    });
  }

  void check_finite(const Tensor& y, const Tensor& values) const {
    // One number for all of them; which token it was is asked where it matters.
    if (std::isfinite((y * values).sum().item<double>())) return;
    const auto wrong = token_losses(loop_.loss, y, values).isfinite().logical_not();
    if (!wrong.any().item<bool>()) return;
    const auto place = wrong.nonzero()[0];  // row, head, token
    const auto before = state_.seen[place[0].item<int64_t>()].item<int64_t>();
    const auto step = before + std::max<int64_t>(place[2].item<int64_t>() - (loop_.window - 1), 0) + 1;
    fail(
        "{}: the inner loss is not finite at inner step {} (row {}, head {}); smaller inner rates keep it "
        "stable",
        loop_.path, step, place[0].item<int64_t>(), place[1].item<int64_t>());
  }

  // Moves weights and momenta on to the segment's end; what applies those of every token.
  Apply descend(const InnerTokens& t, const Window& window, const Features& features,
                const std::vector<RankOne>& gradients) {
    auto weights = window_weights(window.gates, loop_.window);
    if (t.keep.defined())
      weights = weights * t.keep.view({t.keep.size(0), 1, -1, 1}).to(weights.scalar_type());
    const Pace pace{weights, t.decay, t.rate, t.momentum};
    auto paths = std::make_shared<std::vector<Trajectory>>();
    for (size_t j = 0; j < gradients.size(); ++j) {
      const bool reads = j < loop_.memory->readers();
      paths->push_back(loop_.optimizer->descend(
          pace, {gradients[j], state_.weights[j], state_.momenta.empty() ? Tensor() : state_.momenta[j],
                 reads ? features.metric : Tensor()}));
      state_.weights[j] = paths->back().weight;
      if (!state_.momenta.empty()) state_.momenta[j] = paths->back().momentum;
    }
    return [paths](size_t j, const Tensor& x) { return (*paths)[j].apply(x); };
  }

  void move_on(const InnerTokens& t, const Window& window) {
    const auto counts = t.keep.defined() ? t.keep.sum(1) : Tensor();
    const int64_t kept = loop_.window - 1;
    if (kept > 0) {
      state_.keys = last_taken(window.keys, kept, counts, 2);
      state_.values = last_taken(window.values, kept, counts, 2);
      state_.gates = last_taken(window.gates, kept, counts, 2);
      if (window.places.defined()) state_.store.places = last_taken(window.places, kept, counts, 1);
    }
    state_.seen = counts.defined() ? state_.seen + counts : state_.seen + t.keys.size(2);
  }

  const InnerLoop& loop_;
  FastState& state_;
};

// The memory's initial weights for rows that have seen nothing.
void begin_rows(Context& ctx, const InnerLoop& loop, FastState& state) {
  const auto fresh = state.seen.eq(0);
  if (!fresh.any().item<bool>()) return;
  const bool all = fresh.all().item<bool>();
  const auto initial = loop.memory->initial(ctx, state.weights[0].options());
  for (size_t j = 0; j < initial.size(); ++j) {
    const auto& weight = state.weights[j];
    const auto start = with_columns(initial[j], weight.size(-1) - initial[j].size(-1)).expand_as(weight);
    state.weights[j] = all ? start : choose(fresh, start, weight);
  }
}

// Padding leaves weights and momentum as they are.
InnerTokens without_steps_at_padding(InnerTokens t) {
  if (!t.keep.defined()) return t;
  const auto keep = t.keep.unsqueeze(1), padding = keep.logical_not();
  t.decay = t.decay.masked_fill(padding, 0);
  if (t.momentum.defined()) t.momentum = t.momentum.masked_fill(padding, 0);
  t.rate = t.rate * keep.to(t.rate.scalar_type());
  return t;
}

}  // namespace

Tensor run_inner_loop(Context& ctx, const InnerLoop& loop, const InnerTokens& tokens, FastState& state) {
  begin_rows(ctx, loop, state);
  auto all = without_steps_at_padding(tokens);
  all.keys = loop.features->of(ctx, tokens.keys), all.queries = loop.features->of(ctx, tokens.queries);
  Loop steps(loop, state);
  std::vector<Tensor> rows;
  for (int64_t at = 0, count = 0; at < all.keys.size(2); at += count) {
    count = std::min(steps.begin_segment(), all.keys.size(2) - at);
    rows.push_back(steps.run(slice(all, at, count)));
  }
  return rows.size() == 1 ? rows[0] : at::cat(rows, 2);
}

Tensor read_without_updates(Context& ctx, const InnerLoop& loop, const Tensor& queries) {
  const auto weights = loop.memory->initial(ctx, queries.options());
  const auto apply = [&](size_t j, const Tensor& x) { return times(weights[j], x); };
  return loop.memory->read(apply, loop.features->of(ctx, queries));
}

}  // namespace formwork
