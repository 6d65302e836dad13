// What the kinds of charts share: values of a table, and pieces of Vega-Lite. The data carry short keys of
// ours, never the columns' names: Vega-Lite reads dots and brackets in a field's name as a path.
#pragma once
#include <string>
#include <vector>

#include "formwork/report/chart.h"

namespace formwork::chart {

using Json = nlohmann::ordered_json;

double number_of(const Json& row, const std::string& name);  // NaN where there is none
// Fails, naming the nearest, where the table has no such column.
const Column& column_of(const Table& table, const std::string& name);
std::string text_of(const Column& column, const Json& row);
bool can_plot(double value, bool log);

Json axis(const std::string& field, const std::string& title, bool log);
// Of the fields t0, t1, ..
Json tooltip_channel(const std::vector<std::string>& headings);
// By the field "group", of which there are `groups`.
Json group_colour(const std::string& title, size_t groups);
size_t distinct_groups(const Json& points);
// Dragging pans, the wheel with Control (or a pinch) zooms, a double click resets; a plain wheel scrolls the
// page.
Json zoom_parameter();
Json legend_parameter();
Json dimmed_unless_chosen(double value);
Json base_spec(Json layers, Json datasets);

}  // namespace formwork::chart
