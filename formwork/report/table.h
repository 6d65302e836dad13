// A table of measured rows, shown alike on a terminal, in Markdown, as JSON and on a report page.
#pragma once
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace formwork {

// One column. `name` is the key in the rows; `unit` stands behind it in headings ("ms", "tokens/s"); `format`
// is a number's fmt specification without braces (".2f", ".3e", "d"); empty shows
// integers whole and other numbers with four significant digits.
struct Column {
  std::string name;
  std::string unit = {};
  std::string format = {};

  std::string heading() const;
  // The text of one value: null and absent as "-", booleans as yes and no, text as it is, others as JSON; the
  // numbers of a list are formatted, too.
  std::string text(const nlohmann::ordered_json& value) const;
};

class Table {
 public:
  Table() = default;
  // Throws when a column has no name, has another's name, or has a format that cannot format a number.
  explicit Table(std::vector<Column> columns);
  // Columns inferred: every key of every row, in order of first appearance.
  static Table from_rows(const std::vector<nlohmann::ordered_json>& rows);

  // A row is a JSON object; keys that are no column are kept for json() and not shown. Throws for a row that
  // is no object and for one with none of the columns (a misspelt key, most likely).
  void add(nlohmann::ordered_json row);

  const std::vector<Column>& columns() const { return columns_; }
  const std::vector<nlohmann::ordered_json>& rows() const { return rows_; }
  // A column whose values are all numbers (or absent): right-aligned everywhere.
  bool is_numeric(const Column& column) const;

  // Aligned text with a heading and a rule. With `width` > 0 no line is wider: text columns are cut first,
  // the widest first, then the last columns are left out and a line says which.
  std::string text(int width = 0) const;
  std::string markdown() const;
  // The rows as added: an array with one object a row.
  nlohmann::ordered_json json() const;
  // text() as wide as the terminal behind `file`.
  void print(std::FILE* file = stdout) const;

 private:
  std::vector<Column> columns_;
  std::vector<nlohmann::ordered_json> rows_;
};

}  // namespace formwork
