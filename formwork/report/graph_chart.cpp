#include <map>

#include "formwork/core/error.h"
#include "formwork/report/chart_spec.h"

namespace formwork {

using namespace chart;

namespace {

// Room at the edges, where names would be clipped.
Json place(const char* field, const std::string& title) {
  Json channel = axis(field, title, false);
  channel["scale"]["padding"] = 28;
  channel["axis"] = {{"tickMinStep", 1}, {"format", "d"}};
  return channel;
}

Json edges_of(const Table& table, const std::map<std::string, Json>& nodes, const GraphOptions& options) {
  const Column &from = column_of(table, options.from), &to = column_of(table, options.to);
  const Column &weight = column_of(table, options.weight), &colour = column_of(table, options.colour);
  Json edges = Json::array();
  for (const Json& row : table.rows()) {
    const std::string ends[] = {text_of(from, row), text_of(to, row)};
    for (const auto& end : ends)
      if (!nodes.count(end)) fail("graph '{}': an edge names '{}', which is no node", options.title, end);
    const Json &first = nodes.at(ends[0]), &last = nodes.at(ends[1]);
    edges.push_back({{"x", first["x"]},
                     {"y", first["y"]},
                     {"x2", last["x"]},
                     {"y2", last["y"]},
                     {"weight", std::abs(number_of(row, weight.name))},
                     {"group", text_of(colour, row)},
                     {"t0", ends[0]},
                     {"t1", ends[1]},
                     {"t2", text_of(weight, row)},
                     {"t3", text_of(colour, row)}});
  }
  return edges;
}

}  // namespace

Chart graph_chart(const Table& nodes, const Table& edges, const GraphOptions& options) {
  std::map<std::string, Json> places;
  Json points = Json::array();
  const Column& name = column_of(nodes, options.name);
  for (const Json& row : nodes.rows()) {
    const double x = number_of(row, column_of(nodes, options.x).name),
                 y = number_of(row, column_of(nodes, options.y).name);
    if (!can_plot(x, false) || !can_plot(y, false))
      fail("graph '{}': node '{}' has no place", options.title, text_of(name, row));
    Json point{{"x", x}, {"y", y}, {"label", text_of(name, row)}, {"t0", text_of(name, row)}};
    places[text_of(name, row)] = point;
    points.push_back(std::move(point));
  }
  Json lines = edges_of(edges, places, options);
  const size_t groups = distinct_groups(lines);
  const Json x = place("x", options.x_title), y = place("y", options.y_title);
  const std::string weight = column_of(edges, options.weight).heading();
  Json rules{{"data", {{"name", "edges"}}},
             {"params", Json::array({zoom_parameter(), legend_parameter()})},
             {"mark", {{"type", "rule"}, {"clip", true}}},
             {"encoding",
              {{"x", x},
               {"y", y},
               {"x2", {{"field", "x2"}}},
               {"y2", {{"field", "y2"}}},
               {"color", group_colour(options.colour, groups)},
               {"opacity", dimmed_unless_chosen(0.75)},
               {"size",
                {{"field", "weight"},
                 {"type", "quantitative"},
                 {"legend", nullptr},
                 {"scale", {{"range", {1, 6}}}}}},
               {"tooltip", tooltip_channel({options.from, options.to, weight, options.colour})}}}};
  Json dots{{"data", {{"name", "nodes"}}},
            {"mark",
             {{"type", "point"},
              {"filled", true},
              {"size", 160},
              {"opacity", 1},
              {"clip", true},
              {"style", "mark"}}},
            {"encoding", {{"x", x}, {"y", y}, {"tooltip", tooltip_channel({options.name})}}}};
  Json names{{"data", {{"name", "nodes"}}},
             {"mark", {{"type", "text"}, {"style", "mark_label"}, {"align", "left"}, {"dx", 10}, {"dy", -9}}},
             {"encoding", {{"x", x}, {"y", y}, {"text", {{"field", "label"}, {"type", "nominal"}}}}}};
  return {options.title, options.caption,
          base_spec(Json::array({std::move(rules), std::move(dots), std::move(names)}),
                    {{"edges", std::move(lines)}, {"nodes", std::move(points)}})};
}

}  // namespace formwork
