#include "formwork/report/chart.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "formwork/core/error.h"
#include "formwork/report/label_places.h"

namespace formwork {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double number_of(const Json& row, const std::string& name) {
  const auto found = row.find(name);
  return found != row.end() && found->is_number() ? found->get<double>() : kNone;
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

// The data carry short keys of ours, never the columns' names: Vega-Lite reads dots and brackets in a field's
// name as a path.
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

// Dragging pans, the wheel with Control (or a pinch) zooms, a double click resets; a plain wheel scrolls the
// page.
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

void add_line_points(Json& points, const Json& row, const LineOptions& options, const Column& x,
                     const Column& y, const std::string& group) {
  const double at = number_of(row, x.name);
  const auto found = row.find(y.name);
  if (!can_plot(at, options.log_x) || found == row.end() || found->is_null()) return;
  const double value = number_of(row, y.name);
  points.push_back({{"x", at},
                    {"y", can_plot(value, options.log_y) ? Json(value) : Json()},
                    {"group", group},
                    {"t0", group},
                    {"t1", text_of(x, row)},
                    {"t2", text_of(y, row)}});
}

}  // namespace

std::vector<size_t> pareto_front(const std::vector<Json>& rows, const std::string& x, Better x_better,
                                 const std::string& y, Better y_better) {
  // Signs turn both into "smaller is better"; then a row is on the front when its y beats all with smaller x.
  const double x_sign = x_better == Better::smaller ? 1 : -1, y_sign = y_better == Better::smaller ? 1 : -1;
  const auto key = [&](size_t i) {
    return std::pair(x_sign * number_of(rows[i], x), y_sign * number_of(rows[i], y));
  };
  std::vector<size_t> order;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (std::isfinite(key(i).first) && std::isfinite(key(i).second)) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  std::vector<size_t> front;
  for (const size_t i : order) {
    if (front.empty() || key(i).second < key(front.back()).second) front.push_back(i);
  }
  if (x_better == Better::larger) std::reverse(front.begin(), front.end());
  return front;
}

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

Chart line_chart(const Table& table, const LineOptions& options) {
  const Column& x = column_of(table, options.x);
  if (options.y.empty()) fail("line chart '{}': no column for y", options.title);
  Json points = Json::array();
  for (const std::string& name : options.y) {
    const Column& y = column_of(table, name);
    for (const Json& row : table.rows()) {
      std::string group =
          options.series.empty() ? y.heading() : text_of(column_of(table, options.series), row);
      if (!options.series.empty() && options.y.size() > 1) group += ", " + y.heading();
      add_line_points(points, row, options, x, y, group);
    }
  }
  const std::string y_title = options.y.size() == 1 ? column_of(table, options.y[0]).heading() : "";
  const Json encoding{{"x", axis("x", x.heading(), options.log_x)},
                      {"y", axis("y", y_title, options.log_y)},
                      {"color", group_colour(options.series, distinct_groups(points))}};
  Json lines{{"params", Json::array({zoom_parameter(), legend_parameter()})},
             {"mark", {{"type", "line"}, {"strokeWidth", 2}, {"clip", true}}},
             {"encoding", {{"opacity", dimmed_unless_chosen(1)}}}};
  // Invisible points make the nearest one on a line answer to hovering.
  Json hover{
      {"params",
       Json::array(
           {{{"name", "hover"},
             {"select",
              {{"type", "point"}, {"on", "pointerover"}, {"nearest", true}, {"clear", "pointerout"}}}}})},
      {"mark", {{"type", "point"}, {"filled", true}, {"size", 70}, {"clip", true}}},
      {"encoding",
       {{"opacity", {{"condition", {{"param", "hover"}, {"empty", false}, {"value", 1}}}, {"value", 0}}},
        {"tooltip", tooltip_channel({"line", x.heading(), "value"})}}}};
  Json spec = base_spec(Json::array({std::move(lines), std::move(hover)}), {{"points", std::move(points)}});
  spec["data"] = {{"name", "points"}};
  spec["encoding"] = encoding;
  return {options.title, options.caption, std::move(spec)};
}

}  // namespace formwork
