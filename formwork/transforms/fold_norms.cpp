// Folding norms: gain and bias go into the maps that read the norm, and LayerNorm becomes RMSNorm by taking
// the mean out of everything that writes the stream (Ashkboos et al., SliceGPT, 2024, section 3.3).
//   W' = W diag(gain),  b' = b + W bias;   LayerNorm(x) = RMSNorm(x (I - 1 1^T / D)) * gain + bias
#include "formwork/transforms/edit.h"

namespace formwork {
namespace {

std::vector<LinearMap*> readers(const Model& model, const NormInfo& norm) {
  const auto& inventory = model.inventory();
  for (const auto& [slot, path] : inventory.raw_reads)
    if (slot == norm.output)
      fail("norm '{}' cannot be folded: '{}' reads it other than through a linear map", norm.path, path);
  std::vector<LinearMap*> maps;
  for (auto* map : inventory.maps)
    if (map->input_tap() == norm.output) maps.push_back(map);
  if (maps.empty())
    fail("norm '{}' cannot be folded: no linear map reads it alone (post-norm wiring, or a tied head)",
         norm.path);
  for (const auto* map : maps)
    if (map->type() != "dense")
      fail("norm '{}' cannot be folded into '{}', a {} map: fold before compressing", norm.path, map->path(),
           map->type());
  return maps;
}

// The size that the options asked for, of an axis that some parameter carries.
int64_t asked_size(const Model& model, const std::string& axis) {
  for (const auto& param : model.inventory().params)
    for (const auto& dim : param.dims)
      for (const auto& segment : dim.segments)
        for (const auto& factor : segment)
          if (factor.name == axis) return factor.asked();
  return model.inventory().axes.at(axis).size;
}

// The factor of each channel, in double: the stored gain and what the norm adds to it.
Tensor gain_of(const NormInfo& norm, const Tensor& stored) {
  return stored.to(at::kDouble) + norm.options.value("offset", 0.0);
}

}  // namespace

void Edit::fold_norms() {
  std::set<std::string> centred;
  for (const auto& norm : model_->inventory().norms) {
    if (!model_->inventory().streams.count(norm.axis)) continue;
    if (norm.type == "identity") continue;
    const bool layer = norm.type == "layer_norm";
    if (!layer && norm.type != "rms_norm")
      fail("norm '{}' cannot be folded: expected layer_norm or rms_norm, found {}", norm.path, norm.type);
    if (const int64_t asked = asked_size(*model_, norm.axis); layer && asked != axis_size(norm.axis))
      fail("norm '{}' cannot be folded: {} of its {} channels were cut, and its mean counts them as zeros",
           norm.path, asked - axis_size(norm.axis), asked);
    for (const auto* map : readers(*model_, norm)) {
      auto& weight = tensor(map->path() + ".weight");
      const auto wide = weight.to(at::kDouble);
      if (!norm.bias.empty()) {
        auto shift = wide.matmul(tensors_.at(norm.bias).to(at::kDouble));
        if (map->bias()) shift = shift + tensor(map->bias()->name).to(at::kDouble);
        const PartSpec dense("dense");
        const auto folded = norm.gain.empty()
                                ? weight
                                : (wide * gain_of(norm, tensors_.at(norm.gain))).to(weight.scalar_type());
        replace(*map, dense, {{"weight", folded}, {"bias", shift.to(weight.scalar_type())}});
      } else if (!norm.gain.empty()) {
        weight = (wide * gain_of(norm, tensors_.at(norm.gain))).to(weight.scalar_type());
      }
    }
    tensors_.erase(norm.gain);
    tensors_.erase(norm.bias);
    spec_.parts[norm.path] = Json{{"type", "rms_norm"}, {"eps", norm.options.at("eps")}, {"gain", false}};
    changed_ = true;
    if (layer) centred.insert(norm.axis);
  }
  for (const auto& axis : centred)
    for_each_carrier(axis, [&](const Tensor& tensor, int64_t dim, const Dim& axes) {
      if (!axes.writes) return tensor;
      const auto wide = tensor.to(at::kDouble);
      return (wide - wide.mean(dim, true)).to(tensor.scalar_type());
    });
}

}  // namespace formwork
