// The state of an inner loop: fresh, and as a list of tensors.
#include "formwork/mixers/fast_weights/inner_loop.h"

namespace formwork {

FastState fresh_state(const InnerLoop& loop, int64_t batch, int64_t heads, int64_t value_width,
                      const at::TensorOptions& like) {
  FastState state;
  const int64_t features = loop.features->features().size, before = loop.window - 1;
  for (const auto& [rows, columns] : loop.memory->shapes())
    state.weights.push_back(at::zeros({batch, heads, rows, columns}, like));
  if (loop.chunk > 1) state.anchors = state.weights;
  if (loop.optimizer->keeps_momentum()) state.momenta = state.weights;
  if (before > 0) {
    state.keys = at::zeros({batch, heads, before, features}, like);
    state.values = at::zeros({batch, heads, before, value_width}, like);
    state.gates = at::zeros({batch, heads, before}, like);  // none of them counts yet
  }
  state.seen = at::zeros({batch}, like.dtype(at::kLong));
  if (loop.features->by_kernel()) {
    state.store.keys = at::zeros({batch, heads, 0, features}, like);
    if (before > 0) state.store.places = at::zeros({batch, before}, like.dtype(at::kLong));
  }
  return state;
}

std::vector<Tensor*> fields_of(const InnerLoop& loop, FastState& state) {
  const size_t count = loop.memory->shapes().size();
  state.weights.resize(count);
  state.anchors.resize(loop.chunk > 1 ? count : 0);
  state.momenta.resize(loop.optimizer->keeps_momentum() ? count : 0);
  std::vector<Tensor*> fields = {&state.seen};
  for (auto* list : {&state.weights, &state.anchors, &state.momenta})
    for (auto& tensor : *list) fields.push_back(&tensor);
  if (loop.window > 1) fields.insert(fields.end(), {&state.keys, &state.values, &state.gates});
  if (!loop.features->by_kernel()) return fields;
  fields.push_back(&state.store.keys);
  if (loop.window > 1) fields.push_back(&state.store.places);
  return fields;
}

}  // namespace formwork
