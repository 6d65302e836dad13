// Puts a LoRA update (Hu et al., 2021) beside every map of the blocks, whatever represents it. The maps stay
// frozen in their present form, and the model begins unchanged. Only the updates train, rank (in + out)
// parameters for each map, and what the option `train` names besides. Train it, then merge with to_dense,
// which lets everything train again. Methods that recover what they lost offer it.
#pragma once
#include "formwork/transforms/transform.h"

namespace formwork {

struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16, dropout = 0;
  Json train = Json::array();
  void describe(Fields& f);
  void check(const std::string& where) const;
};

// The report has a row for each map, {"map", "update": parameters} or why it has none. Fails where no map can
// take an update, and where a pattern of `train` names nothing that can train. Embedding, head, routers,
// shortcuts, convolutions and banks of experts get none.
TransformResult with_lora(const std::shared_ptr<Model>& model, const LoraOptions& options);

// "none" or "lora", for methods with a recovery.
struct RecoveryOptions {
  std::string recovery = "none";
  LoraOptions lora{32, 10, 0.05};
  void describe(Fields& f);
  // Adds the updates, and what they warn of.
  void apply(TransformResult& result) const;
};

}  // namespace formwork
