// The charts of the recipe about in-context learning of linear models: predictions against measurements.
#pragma once
#include "formwork/studies/recipes/icl_models.h"

namespace formwork {

// Models without noise by their number of layers.
using ByLayers = std::map<int64_t, Json>;

// The squared error that theory gives after n examples without noise, for x ~ N(0, I), w ~ N(0, tau^2 I): of
// least squares tau^2 max(0, d - n); of one step of the best rate tau^2 d (d + 1) / (n + d + 1).
double least_squares_risk(int64_t n, int64_t d, double tau);
double one_step_risk(int64_t n, int64_t d, double tau);

Chart loss_chart(const ByLayers& found, const IclOptions& options);
// Distances (spd or ilwd) of one model to every learner, by the number of examples.
Chart distance_chart(const Json& found, const std::string& field, const std::string& title);
Chart depth_chart(const ByLayers& found, const std::vector<std::string>& learners, int64_t d);
// [{"tap", "error"}] by the name of a line.
Chart readout_chart(const std::map<std::string, Json>& found);
// [{"c", "measured", "predicted"}].
Chart product_chart(const Json& found);

}  // namespace formwork
