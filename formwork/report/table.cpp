#include "formwork/report/table.h"

#include <numeric>

#include "formwork/core/error.h"
#include "formwork/report/width.h"

namespace formwork {
namespace {

using Json = nlohmann::ordered_json;
using Grid = std::vector<std::vector<std::string>>;  // [column][heading, rows...]

constexpr int kGap = 2;        // spaces between two columns
constexpr int kNarrowest = 8;  // text columns are not cut below this

Json value_of(const Json& row, const std::string& name) {
  const auto found = row.find(name);
  return found == row.end() ? Json() : *found;
}

std::string number_text(const std::string& format, const Json& value) {
  if (format.empty()) {
    return value.is_number_float() ? fmt::format("{:.4g}", value.get<double>()) : value.dump();
  }
  const std::string braced = "{:" + format + "}";
  const bool whole = format.back() == 'd';
  return whole ? fmt::format(fmt::runtime(braced), value.get<int64_t>())
               : fmt::format(fmt::runtime(braced), value.get<double>());
}

void check_format(const Column& column) {
  try {
    number_text(column.format, Json(1));
  } catch (const fmt::format_error& error) {
    fail("column '{}': format '{}' cannot format a number ({}); expected one like '.2f' or 'd'", column.name,
         column.format, error.what());
  }
}

Grid printable_cells(const Table& table) {
  Grid grid;
  for (const Column& column : table.columns()) {
    auto& cells = grid.emplace_back();
    cells.push_back(printable_text(column.heading()));
    for (const Json& row : table.rows())
      cells.push_back(printable_text(column.text(value_of(row, column.name))));
  }
  return grid;
}

int widest(const std::vector<std::string>& cells) {
  int columns = 0;
  for (const std::string& cell : cells) columns = std::max(columns, display_width(cell));
  return columns;
}

int line_width(const std::vector<int>& widths) {
  return std::accumulate(widths.begin(), widths.end(), 0) + kGap * (static_cast<int>(widths.size()) - 1);
}

// Cuts the widest text column again and again until a line fits; false when all are at their narrowest.
bool shrink_text(std::vector<int>& widths, const std::vector<bool>& numeric, int width) {
  while (line_width(widths) > width) {
    int target = -1;
    for (size_t i = 0; i < widths.size(); ++i) {
      if (!numeric[i] && widths[i] > kNarrowest && (target < 0 || widths[i] > widths[target])) {
        target = static_cast<int>(i);
      }
    }
    if (target < 0) return false;
    --widths[target];
  }
  return true;
}

// The widths of the columns that are shown: as many as fit, at least the first.
std::vector<int> shown_widths(const Grid& grid, const std::vector<bool>& numeric, int width) {
  std::vector<int> natural;
  for (const auto& cells : grid) natural.push_back(widest(cells));
  if (width <= 0) return natural;
  for (size_t count = natural.size(); count > 1; --count) {
    std::vector<int> widths(natural.begin(), natural.begin() + static_cast<ptrdiff_t>(count));
    if (shrink_text(widths, numeric, width)) return widths;
  }
  natural.resize(1);
  natural[0] = std::min(natural[0], width);
  return natural;
}

std::string line_of(const Grid& grid, size_t row, const std::vector<int>& widths,
                    const std::vector<bool>& numeric) {
  std::string line;
  for (size_t i = 0; i < widths.size(); ++i) {
    if (i > 0) line.append(kGap, ' ');
    line += pad_width(fit_width(grid[i][row], widths[i]), widths[i], numeric[i]);
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string rule_of(const std::vector<int>& widths) {
  std::string line;
  for (size_t i = 0; i < widths.size(); ++i) {
    if (i > 0) line.append(kGap, ' ');
    for (int column = 0; column < widths[i]; ++column) line += "─";
  }
  return line + "\n";
}

std::string markdown_cell(std::string_view text) {
  std::string out;
  for (const char c : printable_text(text)) {
    if (std::string_view("|\\`*_<>[]").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string Column::heading() const { return unit.empty() ? name : name + " (" + unit + ")"; }

std::string Column::text(const Json& value) const {
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return number_text(format, value);
  if (value.is_array() && !value.empty() &&
      std::all_of(value.begin(), value.end(), [](const Json& x) { return x.is_number(); })) {
    std::vector<std::string> numbers;
    for (const auto& number : value) numbers.push_back(number_text(format, number));
    return fmt::format("[{}]", fmt::join(numbers, ","));
  }
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  for (size_t i = 0; i < columns_.size(); ++i) {
    const std::string& name = columns_[i].name;
    if (name.empty()) fail("table column {} has no name", i);
    for (size_t j = 0; j < i; ++j) {
      if (columns_[j].name == name) fail("table columns {} and {} are both named '{}'", j, i, name);
    }
    check_format(columns_[i]);
  }
}

Table Table::from_rows(const std::vector<Json>& rows) {
  std::vector<Column> columns;
  for (const Json& row : rows) {
    if (!row.is_object()) fail("table row: expected an object, found {}", row.type_name());
    for (const auto& item : row.items()) {
      const auto same = [&](const Column& column) { return column.name == item.key(); };
      if (std::none_of(columns.begin(), columns.end(), same)) columns.push_back({item.key()});
    }
  }
  Table table(std::move(columns));
  table.rows_ = rows;
  return table;
}

void Table::add(Json row) {
  if (!row.is_object()) fail("table row: expected an object, found {}", row.type_name());
  const auto present = [&](const Column& column) { return row.contains(column.name); };
  if (std::none_of(columns_.begin(), columns_.end(), present)) {
    std::vector<std::string> names, found;
    for (const Column& column : columns_) names.push_back(column.name);
    for (const auto& item : row.items()) found.push_back(item.key());
    fail("table row has none of the columns: expected some of [{}], found [{}]", fmt::join(names, ", "),
         fmt::join(found, ", "));
  }
  rows_.push_back(std::move(row));
}

bool Table::is_numeric(const Column& column) const {
  bool any = false;
  for (const Json& row : rows_) {
    const Json value = value_of(row, column.name);
    if (!value.is_number() && !value.is_null()) return false;
    any = any || value.is_number();
  }
  return any;
}

std::string Table::text(int width) const {
  if (columns_.empty()) return {};
  const Grid grid = printable_cells(*this);
  std::vector<bool> numeric;
  for (const Column& column : columns_) numeric.push_back(is_numeric(column));
  const std::vector<int> widths = shown_widths(grid, numeric, width);
  std::string out = line_of(grid, 0, widths, numeric) + rule_of(widths);
  for (size_t row = 1; row <= rows_.size(); ++row) out += line_of(grid, row, widths, numeric);
  if (widths.size() == columns_.size()) return out;
  std::vector<std::string> hidden;
  for (size_t i = widths.size(); i < grid.size(); ++i) hidden.push_back(grid[i][0]);
  return out + fit_width(fmt::format("not shown: {}", fmt::join(hidden, ", ")), width) + "\n";
}

std::string Table::markdown() const {
  if (columns_.empty()) return {};
  std::string out = "|", rule = "|";
  for (const Column& column : columns_) {
    out += " " + markdown_cell(column.heading()) + " |";
    rule += is_numeric(column) ? " ---: |" : " --- |";
  }
  out += "\n" + rule + "\n";
  for (const Json& row : rows_) {
    out += "|";
    for (const Column& column : columns_) {
      out += " " + markdown_cell(column.text(value_of(row, column.name))) + " |";
    }
    out += "\n";
  }
  return out;
}

Json Table::json() const { return rows_.empty() ? Json::array() : Json(rows_); }

void Table::print(std::FILE* file) const {
  const std::string out = text(terminal_width(file));
  std::fwrite(out.data(), 1, out.size(), file);
}

}  // namespace formwork
