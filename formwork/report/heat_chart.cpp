#include "formwork/core/error.h"
#include "formwork/report/chart_spec.h"

namespace formwork {

using namespace chart;

namespace {

Json ordered(const char* field, const std::string& title) {
  return {{"field", field}, {"type", "ordinal"}, {"title", title}, {"sort", nullptr}};
}

}  // namespace

Chart heat_chart(const Table& table, const HeatOptions& options) {
  const Column &x = column_of(table, options.x), &y = column_of(table, options.y);
  const Column& value = column_of(table, options.value);
  Json cells = Json::array(), rows = Json::array();
  double most = 0;
  for (const Json& row : table.rows()) {
    const double number = number_of(row, value.name);
    if (!can_plot(number, false)) continue;
    most = std::max(most, std::abs(number));
    Json cell{{"x", text_of(x, row)},  {"y", text_of(y, row)},  {"value", number},
              {"t0", text_of(x, row)}, {"t1", text_of(y, row)}, {"t2", text_of(value, row)}};
    if (!options.label.empty()) cell["t3"] = cell["label"] = text_of(column_of(table, options.label), row);
    if (std::find(rows.begin(), rows.end(), cell["y"]) == rows.end()) rows.push_back(cell["y"]);
    cells.push_back(std::move(cell));
  }
  std::vector<std::string> tooltips = {x.heading(), y.heading(), value.heading()};
  if (!options.label.empty()) tooltips.push_back(column_of(table, options.label).heading());
  Json squares{
      {"mark", {{"type", "rect"}}},
      {"encoding",
       {{"color",
         {{"field", "value"},
          {"type", "quantitative"},
          {"title", value.heading()},
          // Of the same size on both sides, and without the darkest ends, where text is lost.
          {"scale",
           {{"scheme", {{"name", "redblue"}, {"extent", {0.15, 0.85}}}}, {"domain", {-most, most}}}}}},
        {"tooltip", tooltip_channel(tooltips)}}}};
  Json layers = Json::array({std::move(squares)});
  if (!options.label.empty())
    layers.push_back({{"mark", {{"type", "text"}, {"color", "black"}, {"limit", 70}}},
                      {"encoding", {{"text", {{"field", "label"}, {"type", "nominal"}}}}}});
  Json spec = base_spec(std::move(layers), {{"cells", std::move(cells)}});
  spec["data"] = {{"name", "cells"}};
  spec["encoding"] = {{"x", ordered("x", x.heading())}, {"y", ordered("y", y.heading())}};
  constexpr int64_t kRowHeight = 24, kLeast = 80;
  spec["height"] = std::max<int64_t>(kLeast, kRowHeight * static_cast<int64_t>(rows.size()));
  return {options.title, options.caption, std::move(spec)};
}

}  // namespace formwork
