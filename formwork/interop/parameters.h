// The parameters of a model as the readers of files see them: by name, with the axes of their dimensions. A
// model of LibTorch tells them by its inventory (parameters_of), one of the runtime by what its parts ask for
// (runtime::Model::parameters).
#pragma once
#include <functional>
#include <map>
#include <string>

#include "formwork/core/axis.h"
#include "formwork/core/raw.h"

namespace formwork {

struct Parameter {
  std::vector<Dim> dims;
  bool shared = false;         // stored under another's name
  std::function<Raw()> fixed;  // a value that follows from the Spec (rotary frequencies); empty: a file's

  std::vector<int64_t> shape() const {
    std::vector<int64_t> sizes;
    for (const auto& dim : dims) sizes.push_back(dim.stored());
    return sizes;
  }
};

using Parameters = std::map<std::string, Parameter>;

}  // namespace formwork
