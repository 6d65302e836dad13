#include <algorithm>
#include <cmath>
#include <limits>

#include "formwork/core/error.h"
#include "formwork/report/chart_spec.h"
#include "formwork/report/label_places.h"

namespace formwork {
namespace {

using namespace chart;

Json front_line(const ScatterOptions& options, const std::string& x_title, const std::string& y_title) {
  return {{"data", {{"name", "front"}}},
          {"mark", {{"type", "line"}, {"strokeWidth", 1.5}, {"strokeDash", {5, 4}}, {"style", "front"}}},
          {"encoding", {{"x", axis("x", x_title, options.log_x)}, {"y", axis("y", y_title, options.log_y)}}}};
}

// Labels at the corners of their points that place_labels chose.
Json labels_of(const char* data, const char* style, const ScatterOptions& options, const std::string& x_title,
               const std::string& y_title) {
  Json layer = front_line(options, x_title, y_title);
  layer["data"]["name"] = data;
  const auto side = [](const char* test, const char* yes, const char* no) {
    return Json{{"expr", fmt::format("datum.{} ? {} : {}", test, yes, no)}};
  };
  layer["mark"] = {{"type", "text"},
                   {"style", style},
                   {"align", side("right", "'left'", "'right'")},
                   {"dx", side("right", "9", "-9")},
                   {"dy", side("above", "-8", "10")}};
  layer["encoding"]["text"] = {{"field", "label"}, {"type", "nominal"}};
  return layer;
}

Json diamonds(const ScatterOptions& options, const std::string& x_title, const std::string& y_title) {
  Json layer = front_line(options, x_title, y_title);
  layer["data"]["name"] = "marked";
  layer["mark"] = {
      {"type", "point"}, {"shape", "diamond"}, {"filled", false}, {"size", 420}, {"style", "mark"}};
  return layer;
}

struct Points {
  Json all = Json::array();
  Json front = Json::array();
  Json marked = Json::array();
};

bool has(const std::vector<size_t>& rows, size_t row) {
  return std::find(rows.begin(), rows.end(), row) != rows.end();
}

// The share of an axis below a value; the scale has the points' range.
class Range {
 public:
  Range(const Json& points, const char* field, bool log) : field_(field), log_(log) {
    for (const Json& point : points) {
      low_ = std::min(low_, at(point));
      high_ = std::max(high_, at(point));
    }
  }
  double share(const Json& point) const { return high_ > low_ ? (at(point) - low_) / (high_ - low_) : 0.5; }

 private:
  double at(const Json& point) const {
    const double value = point[field_].get<double>();
    return log_ ? std::log(value) : value;
  }
  const char* field_;
  bool log_;
  double low_ = std::numeric_limits<double>::infinity(), high_ = -low_;
};

// Marked points choose first. One that is on the front too has its label once.
void place_all_labels(Points& points, const ScatterOptions& options) {
  const Range x(points.all, "x", options.log_x), y(points.all, "y", options.log_y);
  std::vector<Json*> labelled;
  for (Json& point : points.marked) labelled.push_back(&point);
  for (Json& point : points.front)
    if (std::find(points.marked.begin(), points.marked.end(), point) == points.marked.end())
      labelled.push_back(&point);
    else
      point["label"] = "";
  std::vector<LabelledPoint> places;
  places.reserve(labelled.size());
  for (const Json* point : labelled)
    places.push_back({x.share(*point), y.share(*point), point->value("label", "")});
  const auto placed = place_labels(places);
  for (size_t i = 0; i < placed.size(); ++i) {
    (*labelled[i])["right"] = placed[i].right;
    (*labelled[i])["above"] = placed[i].above;
    if (!placed[i].shown) (*labelled[i])["label"] = "";
  }
}

Points scatter_points(const Table& table, const ScatterOptions& options, const std::vector<Column>& shown) {
  Points points;
  for (size_t i = 0; i < table.rows().size(); ++i) {
    const Json& row = table.rows()[i];
    const double x = number_of(row, options.x), y = number_of(row, options.y);
    if (!can_plot(x, options.log_x) || !can_plot(y, options.log_y)) continue;
    const bool on_front = has(options.front, i);
    Json point{{"x", x}, {"y", y}, {"front", on_front}};
    if (!options.colour.empty()) point["group"] = text_of(column_of(table, options.colour), row);
    if (!options.label.empty()) point["label"] = text_of(column_of(table, options.label), row);
    if (!options.shape.empty()) point["shape"] = text_of(column_of(table, options.shape), row);
    for (size_t j = 0; j < shown.size(); ++j) point["t" + std::to_string(j)] = text_of(shown[j], row);
    if (on_front) points.front.push_back(point);
    if (has(options.marked, i)) points.marked.push_back(point);
    points.all.push_back(std::move(point));
  }
  std::stable_sort(points.front.begin(), points.front.end(),
                   [](const Json& a, const Json& b) { return a["x"].get<double>() < b["x"].get<double>(); });
  place_all_labels(points, options);
  return points;
}

Json scatter_layer(const ScatterOptions& options, const std::string& x_title, const std::string& y_title,
                   const std::vector<std::string>& tooltips) {
  Json encoding{{"x", axis("x", x_title, options.log_x)},
                {"y", axis("y", y_title, options.log_y)},
                {"tooltip", tooltip_channel(tooltips)}};
  // Room at the edges, where big marks and labels would be clipped.
  for (const char* channel : {"x", "y"}) encoding[channel]["scale"]["padding"] = 24;
  if (!options.front.empty()) {
    encoding["size"] = {{"condition", {{"test", "datum.front"}, {"value", 150}}}, {"value", 60}};
  }
  return {{"data", {{"name", "points"}}},
          {"params", Json::array({zoom_parameter()})},
          {"mark", {{"type", "point"}, {"filled", true}, {"size", 90}, {"opacity", 0.85}, {"clip", true}}},
          {"encoding", encoding}};
}

}  // namespace

Chart scatter_chart(const Table& table, const ScatterOptions& options) {
  const std::string x_title = column_of(table, options.x).heading();
  const std::string y_title = column_of(table, options.y).heading();
  for (const auto* rows : {&options.front, &options.marked})
    for (const size_t row : *rows)
      if (row >= table.rows().size())
        fail("front of '{}': no row {} of {}", options.title, row, table.rows().size());
  std::vector<Column> shown;
  for (const std::string& name : options.tooltip) shown.push_back(column_of(table, name));
  if (shown.empty()) shown = table.columns();
  std::vector<std::string> tooltips;
  tooltips.reserve(shown.size());
  for (const Column& column : shown) tooltips.push_back(column.heading());

  Points points = scatter_points(table, options, shown);
  Json layer = scatter_layer(options, x_title, y_title, tooltips);
  if (!options.colour.empty()) {
    layer["params"].push_back(legend_parameter());
    layer["encoding"]["color"] = group_colour(options.colour, distinct_groups(points.all));
    layer["encoding"]["opacity"] = dimmed_unless_chosen(0.85);
  }
  if (!options.shape.empty())
    layer["encoding"]["shape"] = {{"field", "shape"},
                                  {"type", "nominal"},
                                  {"title", options.shape},
                                  {"sort", nullptr},
                                  {"legend", {{"orient", "bottom"}, {"columns", 6}}}};
  Json layers = Json::array();
  if (!options.front.empty()) layers.push_back(front_line(options, x_title, y_title));
  layers.push_back(std::move(layer));
  if (!options.front.empty() && !options.label.empty())
    layers.push_back(labels_of("front", "label", options, x_title, y_title));
  if (!options.marked.empty()) layers.push_back(diamonds(options, x_title, y_title));
  if (!options.marked.empty() && !options.label.empty())
    layers.push_back(labels_of("marked", "mark_label", options, x_title, y_title));
  return {options.title, options.caption,
          base_spec(std::move(layers), {{"points", std::move(points.all)},
                                        {"front", std::move(points.front)},
                                        {"marked", std::move(points.marked)}})};
}

}  // namespace formwork
