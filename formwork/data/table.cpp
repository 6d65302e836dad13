#include "formwork/data/table.h"

#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/core/file.h"
#include "formwork/core/json_text.h"
#include "formwork/data/columns.h"
#include "formwork/data/delimited.h"
#include "formwork/data/lines.h"

namespace formwork {
namespace {

using nlohmann::json;

// Collects rows, then numbers the labels in sorted order.
class TableBuilder {
 public:
  void add(std::string text, std::string label) {
    table_.texts.push_back(std::move(text));
    labels_.push_back(std::move(label));
  }

  TextTable finish(std::string_view source) {
    if (labels_.empty()) fail("{}: expected rows of text and label, found none", source);
    std::vector<std::string>& names = table_.label_names;
    names = labels_;
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (const std::string& label : labels_)
      table_.labels.push_back(std::lower_bound(names.begin(), names.end(), label) - names.begin());
    return std::move(table_);
  }

 private:
  TextTable table_;
  std::vector<std::string> labels_;
};

TextTable table_of_rows(std::vector<Row> rows, std::string_view source, const TableOptions& options) {
  if (rows.empty()) fail("{}: expected rows of text and label, found none", source);
  const bool header = is_header(rows[0].cells, options);
  const Columns columns =
      header ? find_columns(rows[0].cells, options, source) : guess_columns(rows, options, source);
  TableBuilder builder;
  for (size_t i = header; i < rows.size(); ++i) {
    std::vector<std::string>& cells = rows[i].cells;
    if (cells[columns.label].empty())
      fail("{}:{}: expected a label, found an empty cell", source, rows[i].line);
    builder.add(cells[columns.text], cells[columns.label]);
  }
  return builder.finish(source);
}

std::vector<std::string> keys_of(const json& object) {
  std::vector<std::string> keys;
  for (const auto& entry : object.items()) keys.push_back(entry.key());
  return keys;
}

json parse_object(std::string_view line, const std::string& where) {
  json object = parse_json<json>(line, where);
  if (!object.is_object()) fail("{}: expected a JSON object, found a {}", where, object.type_name());
  return object;
}

std::string cell_of(const json& object, const std::string& key, const std::string& where) {
  if (!object.contains(key)) fail("{}: expected a field '{}', found none", where, key);
  const json& value = object[key];
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number() || value.is_boolean()) return value.dump();
  fail("{}: expected the field '{}' to be a text or a number, found {}", where, key, value.type_name());
}

}  // namespace

TextTable csv_table(std::string_view content, std::string_view source, const TableOptions& options) {
  return table_of_rows(parse_csv(content, source), source, options);
}

TextTable tsv_table(std::string_view content, std::string_view source, const TableOptions& options) {
  return table_of_rows(parse_tsv(content, source), source, options);
}

TextTable jsonl_table(std::string_view content, std::string_view source, const TableOptions& options) {
  TableBuilder builder;
  std::string text, label;
  for_each_line(content, [&](std::string_view line, int64_t number) {
    const std::string where = fmt::format("{}:{}", source, number);
    const json object = parse_object(line, where);
    if (text.empty()) {
      const std::vector<std::string> keys = keys_of(object);
      const Columns columns = find_columns(keys, options, where);
      text = keys[columns.text];
      label = keys[columns.label];
    }
    builder.add(cell_of(object, text, where), cell_of(object, label, where));
  });
  return builder.finish(source);
}

TextTable load_table(const std::filesystem::path& path, const TableOptions& options) {
  using Reader = TextTable (*)(std::string_view, std::string_view, const TableOptions&);
  static const std::map<std::string, Reader> readers = {
      {".csv", csv_table}, {".tsv", tsv_table}, {".jsonl", jsonl_table}};
  const auto reader = readers.find(path.extension().string());
  if (reader == readers.end())
    fail("{}: expected a name that ends in .csv, .tsv or .jsonl, found '{}'", path.string(),
         path.extension().string());
  return reader->second(read_file(path), path.string(), options);
}

TextTable with_label_names(TextTable table, const std::vector<std::string>& label_names,
                           std::string_view source) {
  std::vector<int64_t> renumbered;
  for (const std::string& name : table.label_names) {
    const auto found = std::find(label_names.begin(), label_names.end(), name);
    if (found == label_names.end())
      fail("{}: label '{}' is not among the known labels {}", source, name, fmt::join(label_names, ", "));
    renumbered.push_back(found - label_names.begin());
  }
  for (int64_t& label : table.labels) label = renumbered[label];
  table.label_names = label_names;
  return table;
}

}  // namespace formwork
