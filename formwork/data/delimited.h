// Files of rows and columns: comma-separated values (RFC 4180) and tab-separated values.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace formwork {

struct Row {
  int64_t line;  // where it starts, from 1
  std::vector<std::string> cells;
};

// Cells in double quotes may hold commas, line ends and doubled quotes. Lines end with \n or \r\n; empty
// lines are skipped; a leading byte order mark is dropped. All rows have as many cells as the first. Throws
// Error "source:line: ..." for a quote that is never closed, text after a closing quote, a quote inside an
// unquoted cell, or a row of another width.
std::vector<Row> parse_csv(std::string_view content, std::string_view source);

// One row a line, cells between tabs, quotes are ordinary characters. Throws Error for a row of another
// width.
std::vector<Row> parse_tsv(std::string_view content, std::string_view source);

}  // namespace formwork
