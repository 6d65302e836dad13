// Which module of local learning each parameter belongs to, found from the graphs of the modules' losses.
#pragma once
#include <mutex>
#include <unordered_map>

#include "formwork/train/steps/local_modules.h"

namespace formwork {

class ModuleOwners {
 public:
  // `inventories` name parameters in messages; they and the modules must live as long.
  ModuleOwners(std::vector<const Inventory*> inventories, const std::vector<LocalModule>& modules)
      : inventories_(std::move(inventories)), modules_(modules) {}

  // Enters everything that the loss of module k depends on as its own. Throws, naming it, for a parameter of
  // another module, and where there is none. Modules may call it at once.
  void claim(const Tensor& loss, size_t k);
  // Scales the gradients of each module to a norm of at most `most` (0: leaves them) -> the norm of all
  // before.
  double clip(FlatParameters& parameters, double most) const;

 private:
  std::string name_of(const Tensor& parameter) const;

  std::vector<const Inventory*> inventories_;
  const std::vector<LocalModule>& modules_;
  std::mutex mutex_;
  std::unordered_map<const c10::TensorImpl*, size_t> owners_;
};

}  // namespace formwork
