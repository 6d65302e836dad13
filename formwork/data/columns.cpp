#include "formwork/data/columns.h"

#include <charconv>
#include <set>

#include "formwork/core/error.h"

namespace formwork {
namespace {

using Names = std::vector<std::string>;

const Names text_names = {"text", "sentence", "review", "content", "title"};
const Names label_names = {"label", "class", "category", "target"};

std::string lower(std::string name) {
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 'a' - 'A');
  return name;
}

std::optional<size_t> place(const Names& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return {};
  return found - names.begin();
}

std::optional<size_t> known_column(const Names& names, const Names& known) {
  Names lowered;
  for (const std::string& name : names) lowered.push_back(lower(name));
  for (const std::string& name : known)
    if (const auto at = place(lowered, name)) return at;
  return {};
}

size_t named_column(const Names& names, const std::string& asked, const Names& known, std::string_view kind,
                    std::string_view source) {
  if (asked.empty()) {
    if (const auto at = known_column(names, known)) return *at;
    fail("{}: expected a {} column named one of {}, found {}", source, kind, fmt::join(known, ", "),
         fmt::join(names, ", "));
  }
  if (const auto at = place(names, asked)) return *at;
  const std::string near = nearest(asked, names);
  fail("{}: no {} column '{}'{} The columns are {}", source, kind, asked,
       near.empty() ? "." : "; did you mean '" + near + "'?", fmt::join(names, ", "));
}

size_t numbered_column(const std::string& asked, size_t width, std::string_view kind,
                       std::string_view source) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(asked.data(), asked.data() + asked.size(), number);
  if (error != std::errc() || end != asked.data() + asked.size() || number < 1 || number > width)
    fail("{}: expected the {} column as a number from 1 to {} (the file has no header), found '{}'", source,
         kind, width, asked);
  return number - 1;
}

size_t column_with_fewest_values(const std::vector<Row>& rows) {
  size_t best = 0, fewest = SIZE_MAX;
  for (size_t column = 0; column < rows[0].cells.size(); ++column) {
    std::set<std::string_view> values;
    for (const Row& row : rows) values.insert(row.cells[column]);
    if (values.size() < fewest) best = column, fewest = values.size();
  }
  return best;
}

size_t longest_column(const std::vector<Row>& rows, size_t other_than) {
  size_t best = 0, longest = 0;
  for (size_t column = 0; column < rows[0].cells.size(); ++column) {
    size_t bytes = 1;
    for (const Row& row : rows) bytes += row.cells[column].size();
    if (column != other_than && bytes > longest) best = column, longest = bytes;
  }
  return best;
}

}  // namespace

Columns find_columns(const Names& names, const TableOptions& options, std::string_view source) {
  return {named_column(names, options.text_column, text_names, "text", source),
          named_column(names, options.label_column, label_names, "label", source)};
}

bool is_header(const Names& names, const TableOptions& options) {
  // A number counts columns; that a cell holds the same number says nothing.
  const auto asked_for = [&](const std::string& asked) {
    return asked.find_first_not_of("0123456789") != std::string::npos && place(names, asked);
  };
  return known_column(names, text_names) || known_column(names, label_names) ||
         asked_for(options.text_column) || asked_for(options.label_column);
}

Columns guess_columns(const std::vector<Row>& rows, const TableOptions& options, std::string_view source) {
  const size_t width = rows[0].cells.size();
  if (width < 2) fail("{}: expected at least a text and a label column, found {} column", source, width);
  const size_t label = options.label_column.empty()
                           ? column_with_fewest_values(rows)
                           : numbered_column(options.label_column, width, "label", source);
  const size_t text = options.text_column.empty()
                          ? longest_column(rows, label)
                          : numbered_column(options.text_column, width, "text", source);
  return {text, label};
}

}  // namespace formwork
