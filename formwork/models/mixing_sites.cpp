#include "formwork/models/mixing_sites.h"

namespace formwork {

std::vector<MixingSite> mixing_sites(const Model& model) {
  std::vector<MixingSite> sites;
  const auto segments = model.segments();
  for (size_t i = 0; i < segments.size(); ++i) {
    const auto name = segments[i].substr(0, segments[i].find('@'));
    for (const auto& step : model.inventory().steps) {
      if (step.name != name) continue;
      auto* mixing = dynamic_cast<MixingStep*>(step.layer);
      if (mixing && mixing->token_mixer()) sites.push_back({static_cast<int64_t>(i), mixing});
    }
  }
  return sites;
}

std::vector<LayerSegments> layer_segments(const Model& model) {
  std::vector<LayerSegments> layers;
  const auto segments = model.segments();
  for (size_t i = 0; i < segments.size(); ++i) {
    // "decoder.layers.3.mixer" -> "decoder.layers.3"
    const std::string mark = "layers.";
    const size_t number = segments[i].find(mark) + mark.size();
    const auto name = segments[i].substr(0, segments[i].find('.', number));
    const auto at = static_cast<int64_t>(i);
    if (layers.empty() || layers.back().name != name)
      layers.push_back({name, at, at + 1});
    else
      layers.back().last = at + 1;
  }
  return layers;
}

}  // namespace formwork
