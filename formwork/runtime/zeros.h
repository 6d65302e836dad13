// Memory of zeros that costs none: what parts read while a model is asked which tensors it wants.
#pragma once
#include <string>

#include "formwork/core/raw.h"

namespace formwork::runtime {

class Zeros {
 public:
  Zeros() = default;
  ~Zeros();
  Zeros(const Zeros&) = delete;

  // As many bytes as a tensor of this type and shape has. Throws Error, naming it, where no memory could hold
  // it.
  const void* of(const Raw& raw, const std::string& name);

 private:
  struct Region {
    void* data;
    size_t size;
  };
  std::vector<Region> regions_;  // ever larger ones
};

}  // namespace formwork::runtime
