// Pools of routed modules (experts, attention modules) in a model, and how much each module is used.
#pragma once
#include "formwork/transforms/transform.h"

namespace formwork {

struct ModulePool {
  std::string scope;  // of the part: "layers.0.channel"
  std::string axis;   // of its modules
  LinearMap* router = nullptr;
  Slot gates = -1, probabilities = -1;
};

// Every pool whose axis matches a pattern ('*' for any characters): a router whose output is the axis of some
// bank. Fails, naming `transform`, where there is none.
std::vector<ModulePool> module_pools(const Model& model, const std::string& pattern,
                                     const std::string& transform);

// The pool whose modules are the matrices of a bank; nothing where no router chooses among them.
std::optional<ModulePool> pool_of(const Model& model, const LinearMap& bank);

// The moments, with the outer product, of the outputs of each matrix of routed banks over the data: of the
// real tokens that took it, [n] by output tap. Taps that no token reached are absent.
std::map<Slot, std::vector<Moments>> collect_module_moments(Model& model, const Calibration& data,
                                                            const std::vector<const LinearMap*>& banks);

struct ModuleUse {
  int64_t tokens = 0, active = 0;  // real tokens seen, and the most modules that one took
  Tensor chosen;                   // [n] double, tokens that took the module
  Tensor probability;              // [n] double, mean p of the module
};
// One for each pool, over the data.
std::vector<ModuleUse> module_use(Model& model, const std::vector<ModulePool>& pools,
                                  const Calibration& data);

}  // namespace formwork
