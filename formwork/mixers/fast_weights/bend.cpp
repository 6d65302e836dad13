#include "formwork/mixers/fast_weights/bend.h"

namespace formwork {
namespace {

Tensor normal_share(const Tensor& x) { return (at::erf(x * M_SQRT1_2) + 1) * 0.5; }

const std::map<std::string, Bend>& table() {
  static const std::map<std::string, Bend> bends = {
      {"gelu",
       {[](const Tensor& x) { return x * normal_share(x); },
        [](const Tensor& x) {
          return normal_share(x) + x * (x.square() * -0.5).exp() * (1 / std::sqrt(2 * M_PI));
        }}},
      {"silu",
       {[](const Tensor& x) { return at::silu(x); },
        [](const Tensor& x) {
          const auto s = x.sigmoid();
          return s * (x * (1 - s) + 1);
        }}},
  };
  return bends;
}

}  // namespace

const Bend& bend_named(const std::string& name) { return table().at(name); }

std::vector<std::string> bend_names() {
  std::vector<std::string> names;
  for (const auto& [name, bend] : table()) names.push_back(name);
  return names;
}

}  // namespace formwork
