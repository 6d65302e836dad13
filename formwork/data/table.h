// Labelled texts for classification, from CSV, TSV or JSONL files.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace formwork {

struct TextTable {
  std::vector<std::string> texts;
  std::vector<int64_t> labels;           // index into label_names
  std::vector<std::string> label_names;  // sorted, each once
};

struct TableOptions {
  std::string text_column;   // a name, or a number from 1 where the file has no header; empty: guessed
  std::string label_column;  // likewise
};

// Guesses the text column from the names text, sentence, review, content, title and the label column from
// label, class, category, target, in this order and in any case. A first row with no known or asked-for name
// is data; then the label column is the one with the fewest different cells and the text column the longest.
// Numbers and booleans of JSONL become text. Throws Error "source:line: ..." for broken rows and "source:
// ..." for columns that are not there.
TextTable csv_table(std::string_view content, std::string_view source, const TableOptions& options = {});
TextTable tsv_table(std::string_view content, std::string_view source, const TableOptions& options = {});
TextTable jsonl_table(std::string_view content, std::string_view source, const TableOptions& options = {});

// By the ending of the name: .csv, .tsv, .jsonl.
TextTable load_table(const std::filesystem::path& path, const TableOptions& options = {});

// Labels become indices into `label_names` of another table (the training set's), which the result then has.
// Throws Error, starting with `source`, for a label that the other table lacks.
TextTable with_label_names(TextTable table, const std::vector<std::string>& label_names,
                           std::string_view source);

}  // namespace formwork
