#include "formwork/report/chart_spec.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "formwork/core/error.h"

namespace formwork::chart {

double number_of(const Json& row, const std::string& name) {
  const auto found = row.find(name);
  return found != row.end() && found->is_number() ? found->get<double>()
                                                  : std::numeric_limits<double>::quiet_NaN();
}

const Column& column_of(const Table& table, const std::string& name) {
  std::vector<std::string> names;
  for (const Column& column : table.columns()) {
    if (column.name == name) return column;
    names.push_back(column.name);
  }
  fail_unknown("chart column", name, names);
}

std::string text_of(const Column& column, const Json& row) {
  const auto found = row.find(column.name);
  return column.text(found == row.end() ? Json() : *found);
}

bool can_plot(double value, bool log) { return std::isfinite(value) && (!log || value > 0); }

Json axis(const std::string& field, const std::string& title, bool log) {
  Json scale{{"type", log ? "log" : "linear"}, {"zero", false}, {"nice", true}};
  // Whole decades would leave most of the plot empty.
  if (log) scale = {{"type", "log"}, {"nice", false}};
  return {{"field", field}, {"type", "quantitative"}, {"title", title}, {"scale", scale}};
}

Json tooltip_channel(const std::vector<std::string>& headings) {
  Json channel = Json::array();
  for (size_t i = 0; i < headings.size(); ++i) {
    channel.push_back({{"field", "t" + std::to_string(i)}, {"type", "nominal"}, {"title", headings[i]}});
  }
  return channel;
}

Json group_colour(const std::string& title, size_t groups) {
  return {{"field", "group"},
          {"type", "nominal"},
          {"title", title},
          {"sort", nullptr},
          {"scale", {{"scheme", groups <= 10 ? "tableau10" : "tableau20"}}},
          {"legend", {{"orient", "bottom"}, {"columns", 6}, {"symbolOpacity", 1}, {"labelLimit", 260}}}};
}

Json zoom_parameter() {
  return {
      {"name", "view"},
      {"bind", "scales"},
      {"select",
       {{"type", "interval"}, {"zoom", "wheel![event.ctrlKey || event.metaKey]"}, {"clear", "dblclick"}}}};
}

Json legend_parameter() {
  return {{"name", "chosen"},
          {"bind", "legend"},
          {"select", {{"type", "point"}, {"fields", Json::array({"group"})}}}};
}

Json dimmed_unless_chosen(double value) {
  return {{"condition", {{"param", "chosen"}, {"value", value}}}, {"value", 0.07}};
}

Json base_spec(Json layers, Json datasets) {
  return {{"$schema", "https://vega.github.io/schema/vega-lite/v6.json"},
          {"width", "container"},
          {"height", 380},
          {"datasets", std::move(datasets)},
          {"layer", std::move(layers)}};
}

size_t distinct_groups(const Json& points) {
  std::vector<std::string> groups;
  for (const Json& point : points) groups.push_back(point.value("group", ""));
  std::sort(groups.begin(), groups.end());
  return static_cast<size_t>(std::unique(groups.begin(), groups.end()) - groups.begin());
}

}  // namespace formwork::chart
