// Charts for a report page, described in Vega-Lite (Satyanarayan et al., Vega-Lite: A Grammar of Interactive
// Graphics, 2017). Axis titles, units and the texts on hovering come from the table's columns.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formwork/report/table.h"

namespace formwork {

struct Chart {
  std::string title;
  std::string caption;
  nlohmann::ordered_json spec;
};

enum class Better { smaller, larger };

// Indices of the rows that no other row beats in one of `x` and `y` while being as good in the other, by
// rising x; of rows equal in both the first. Rows without finite numbers for both are left out.
std::vector<size_t> pareto_front(const std::vector<nlohmann::ordered_json>& rows, const std::string& x,
                                 Better x_better, const std::string& y, Better y_better);

struct ScatterOptions {
  std::string title;
  std::string x, y;                       // numeric columns
  std::string colour = {};                // column whose text groups the points; empty: one colour
  std::string label = {};                 // column written beside the points of the front; empty: none
  std::vector<std::string> tooltip = {};  // columns shown on hovering; empty: all
  std::vector<size_t> front = {};         // rows joined by a line, as pareto_front gives them
  std::vector<size_t> marked = {};        // rows ringed by a diamond, with their label
  std::string shape = {};                 // column whose text gives the points' shapes; empty: circles
  bool log_x = false, log_y = false;
  std::string caption = {};
};

// One point a row; rows without a finite number (on a logarithmic axis: a positive one) for both are left
// out. Throws for a name that is no column and for a front or mark that names no row.
Chart scatter_chart(const Table& table, const ScatterOptions& options);

struct LineOptions {
  std::string title;
  std::string x;               // numeric column
  std::vector<std::string> y;  // numeric columns, one line each (for each text of `series`)
  std::string series = {};     // column whose text separates the lines
  bool log_x = false, log_y = false;
  std::string caption = {};
};

// Lines through the rows in order of x. Absent values are passed over; values that are not finite break the
// line.
Chart line_chart(const Table& table, const LineOptions& options);

struct HeatOptions {
  std::string title;
  std::string x, y;        // columns whose texts name the columns and rows of the map, in order of appearance
  std::string value;       // numeric column: colours that part at zero
  std::string label = {};  // column written into the cells; empty: none
  std::string caption = {};
};

// One cell a row; rows without a finite value are left out.
Chart heat_chart(const Table& table, const HeatOptions& options);

struct GraphOptions {
  std::string title;
  std::string x, y;      // numeric columns of the nodes: their places
  std::string name;      // column of the nodes that edges name; written beside them
  std::string from, to;  // columns of the edges
  std::string weight;    // numeric column of the edges: how thick they are
  std::string colour;    // column of the edges whose text groups them
  std::string x_title, y_title;
  std::string caption = {};
};

// Nodes at their places and straight edges between them. Throws for an edge that names no node.
Chart graph_chart(const Table& nodes, const Table& edges, const GraphOptions& options);

}  // namespace formwork
