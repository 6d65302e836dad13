// Puts a LoRA update (Hu et al., 2021) beside every map of the blocks, whatever represents it: the map is
// frozen in its present form, and the model begins unchanged. Train it, then merge with to_dense. Methods
// that recover what they lost offer it.
#pragma once
#include <memory>

#include "formwork/models/model.h"

namespace formwork {

struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16, dropout = 0;
  void describe(Fields& f);
};

// Fails where no map can take an update. Embedding, head, routers, shortcuts and convolutions get none.
std::shared_ptr<Model> with_lora(const std::shared_ptr<Model>& model, const LoraOptions& options);

// "none" or "lora", for methods with a recovery.
struct RecoveryOptions {
  std::string recovery = "none";
  LoraOptions lora{32, 10, 0.05};
  void describe(Fields& f);
  std::shared_ptr<Model> apply(const std::shared_ptr<Model>& model) const;
};

}  // namespace formwork
