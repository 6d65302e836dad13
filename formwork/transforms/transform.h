// Transforms: a model, data and options become another model and a report. They work on maps, axes, norms and
// taps of the inventory, never on class or weight names.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "formwork/core/catalog.h"
#include "formwork/transforms/edit.h"

namespace formwork {

// Records to calibrate on (input_ids and, where rows are padded, attention_mask).
struct Calibration {
  std::vector<Record> batches;
};

struct TransformResult {
  std::shared_ptr<Model> model;
  Json report = Json::object();  // what was done, map by map
};

class Transform {
 public:
  static const char* kind() { return "transforms"; }
  virtual ~Transform() = default;
  // Throws Error with the reason where the method cannot apply to this model.
  virtual TransformResult apply(const std::shared_ptr<Model>& model, const Calibration& data) = 0;
  // Options at several budgets, mildest first, for comparisons.
  virtual std::vector<Json> budgets() const = 0;
};

// Runs the model over the data without gradients, with a board that delivers to the listeners.
void run_calibration(Model& model, const Calibration& data, TapBoard& board);

// x [B, T, D] (or [N, D]) at a tap, without padding tokens -> [N, D].
Tensor real_tokens(const Context& ctx, const Tensor& x);

// The maps of a model's blocks: every map but embedding, head and shortcuts, that is a single dense matrix.
std::vector<LinearMap*> block_maps(const Model& model);

}  // namespace formwork
