#include "formwork/core/error.h"
#include "formwork/report/chart_spec.h"

namespace formwork {
namespace {

using namespace chart;

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
