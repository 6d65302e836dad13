#include "formwork/data/delimited.h"

#include "formwork/core/error.h"
#include "formwork/data/lines.h"

namespace formwork {
namespace {

std::string_view without_mark(std::string_view content) {
  return content.substr(0, 3) == "\xEF\xBB\xBF" ? content.substr(3) : content;
}

class CsvReader {
 public:
  CsvReader(std::string_view content, std::string_view source) : content_(content), source_(source) {}

  bool at_end() const { return at_ >= content_.size(); }

  bool skip_line_end() {
    if (content_.substr(at_, 2) == "\r\n") {
      at_ += 2;
    } else if (!at_end() && content_[at_] == '\n') {
      ++at_;
    } else {
      return false;
    }
    ++line_;
    return true;
  }

  Row row() {
    Row row{line_, {}};
    while (true) {
      row.cells.push_back(!at_end() && content_[at_] == '"' ? quoted() : plain());
      if (at_end() || skip_line_end()) return row;
      if (content_[at_] != ',')
        fail("{}:{}: expected a comma or the end of the line after a closing quote, found '{}'", source_,
             line_, printable(content_[at_]));
      ++at_;
    }
  }

 private:
  static std::string printable(char c) {
    return c >= 0x20 && c < 0x7F ? std::string(1, c) : fmt::format("byte {}", static_cast<uint8_t>(c));
  }

  std::string plain() {
    const size_t start = at_;
    while (!at_end() && content_[at_] != ',' && content_[at_] != '\n' && content_.substr(at_, 2) != "\r\n") {
      if (content_[at_] == '"')
        fail("{}:{}: quote inside an unquoted cell; write the cell as \"...\" with its quotes doubled",
             source_, line_);
      ++at_;
    }
    return std::string(content_.substr(start, at_ - start));
  }

  std::string quoted() {
    const int64_t opened = line_;
    std::string cell;
    for (++at_; !at_end(); ++at_) {
      const char c = content_[at_];
      if (c == '"') {
        if (content_.substr(at_ + 1, 1) != "\"") {
          ++at_;
          return cell;
        }
        ++at_;
      }
      line_ += c == '\n';
      cell += c;
    }
    fail("{}:{}: a quote is opened and never closed", source_, opened);
  }

  std::string_view content_, source_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

void add_row(std::vector<Row>& rows, Row row, std::string_view source) {
  if (!rows.empty() && row.cells.size() != rows[0].cells.size())
    fail("{}:{}: expected {} columns as in line {}, found {}", source, row.line, rows[0].cells.size(),
         rows[0].line, row.cells.size());
  rows.push_back(std::move(row));
}

}  // namespace

std::vector<Row> parse_csv(std::string_view content, std::string_view source) {
  CsvReader reader(without_mark(content), source);
  std::vector<Row> rows;
  while (!reader.at_end())
    if (!reader.skip_line_end()) add_row(rows, reader.row(), source);
  return rows;
}

std::vector<Row> parse_tsv(std::string_view content, std::string_view source) {
  std::vector<Row> rows;
  for_each_line(without_mark(content), [&](std::string_view line, int64_t number) {
    Row row{number, {}};
    for (size_t start = 0; start <= line.size();) {
      const size_t end = std::min(line.find('\t', start), line.size());
      row.cells.emplace_back(line.substr(start, end - start));
      start = end + 1;
    }
    add_row(rows, std::move(row), source);
  });
  return rows;
}

}  // namespace formwork
