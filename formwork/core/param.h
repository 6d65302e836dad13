// Parameters: a tensor with a name, axes, a rule and, where its value is not simply stored, a source.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "formwork/core/axis.h"
#include "formwork/core/init.h"
#include "formwork/core/tensor.h"

namespace formwork {

class Context;

// How a parameter is initialized and trained.
struct Rule {
  Init init = init::zeros();
  bool decay = true;        // weight decay applies
  double rate = 1;          // factor on the learning rate
  bool frozen = false;      // never trained (running statistics, codes of a quantized map)
  bool keep_dtype = false;  // stays in `dtype` when the model is cast
  at::ScalarType dtype = at::kFloat;
};

// How a parameter gets its value each pass when it is not simply stored; differentiable.
class Source {
 public:
  virtual ~Source() = default;
  virtual Tensor value(Context& ctx) const = 0;
};

struct Param {
  std::string name;
  std::vector<Dim> dims;
  Rule rule;
  Tensor value;                    // undefined when a source makes it
  std::unique_ptr<Source> source;  // null: stored

  bool trainable() const { return value.defined() && !rule.frozen && value.is_floating_point(); }
};

}  // namespace formwork
