#include "formwork/studies/recipes/icl_charts.h"

namespace formwork {

double least_squares_risk(int64_t n, int64_t d, double tau) {
  return tau * tau * static_cast<double>(std::max<int64_t>(0, d - n));
}

double one_step_risk(int64_t n, int64_t d, double tau) {
  return tau * tau * static_cast<double>(d * (d + 1)) / static_cast<double>(n + d + 1);
}

Chart loss_chart(const ByLayers& found, const IclOptions& options) {
  Table table({{"n"}, {"squared error", "", ".4f"}, {"of"}});
  const auto add = [&](int64_t n, double value, const std::string& of) {
    table.add({{"n", n}, {"squared error", value}, {"of", of}});
  };
  for (int64_t n = 0; n < options.n_max; ++n) {
    add(n, least_squares_risk(n, options.d, options.tau), "theory: least squares");
    add(n, one_step_risk(n, options.d, options.tau), "theory: one step of gradient descent");
    for (const auto& [layers, measured] : found)
      add(n, measured.at("loss")[static_cast<size_t>(n)].get<double>(),
          fmt::format("measured: {} layer{}", layers, layers > 1 ? "s" : ""));
  }
  LineOptions line;
  line.title = "Error after n examples: theory, and trained models", line.x = "n", line.y = {"squared error"};
  line.series = "of";
  line.caption = "Without noise. Nothing is fitted to the trained models.";
  return line_chart(table, line);
}

Chart distance_chart(const Json& found, const std::string& field, const std::string& title) {
  Table table({{"n"}, {field, "", ".4g"}, {"learner"}});
  for (const auto& row : found.at("distances")) table.add(row);
  LineOptions line;
  line.title = title, line.x = "n", line.y = {field}, line.series = "learner", line.log_y = true;
  line.caption = "After n examples; lower is more alike.";
  return line_chart(table, line);
}

Chart depth_chart(const ByLayers& found, const std::vector<std::string>& learners, int64_t d) {
  Table table({{"layers"}, {"spd", "", ".4g"}, {"learner"}});
  for (const auto& [layers, measured] : found)
    for (const auto& learner : learners)
      table.add(
          {{"layers", layers}, {"spd", mean_distance(measured, learner, "spd", d)}, {"learner", learner}});
  LineOptions line;
  line.title = "Which learner, by depth", line.x = "layers", line.y = {"spd"}, line.series = "learner";
  line.log_y = true;
  line.caption = "Squared difference of predictions, the mean over more than d examples.";
  return line_chart(table, line);
}

Chart readout_chart(const std::map<std::string, Json>& found) {
  Table table({{"block"}, {"error", "", ".4f"}, {"tap"}, {"readout"}});
  for (const auto& [name, layers] : found) {
    int64_t block = 0;
    for (const auto& layer : layers)
      table.add(
          {{"block", block++}, {"error", layer.at("error")}, {"tap", layer.at("tap")}, {"readout", name}});
  }
  LineOptions line;
  line.title = "What can be read off the hidden states", line.x = "block", line.y = {"error"};
  line.series = "readout";
  line.caption = "Block 0 is the embedding. 0: the target is there; 1: nothing is known of it.";
  return line_chart(table, line);
}

Chart product_chart(const Json& found) {
  Table table({{"c"}, {"measured", "", ".3g"}, {"predicted", "", ".3g"}});
  for (const auto& row : found) table.add(row);
  LineOptions line;
  line.title = "Largest error of a product of two numbers in [-1, 1] by GELU", line.x = "c";
  line.y = {"measured", "predicted"}, line.log_x = line.log_y = true;
  line.caption = "Predicted by the next term of the series: 14 c^2 / 12.";
  return line_chart(table, line);
}

}  // namespace formwork
