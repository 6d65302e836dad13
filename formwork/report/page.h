// A report as one HTML file that needs no network and no other file: texts, settings, interactive charts and
// sortable tables, with the plot library (Vega-Lite) inside. Its content security policy forbids any request.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "formwork/report/chart.h"
#include "formwork/report/table.h"

namespace formwork {

// `text` for HTML content and quoted attributes: & < > " ' as entities, control characters as spaces, invalid
// UTF-8 as U+FFFD.
std::string escape_html(std::string_view text);

// `value` as JSON that may stand inside <script>: no "<" and no character beyond ASCII.
std::string script_json(const nlohmann::ordered_json& value);

// Sections appear in the order in which they are added.
class Page {
 public:
  explicit Page(std::string title);

  Page& heading(std::string_view text);
  Page& text(std::string_view paragraph);
  // What was in force: names and values, nested objects with dotted names. Throws when it is no object.
  Page& settings(const nlohmann::ordered_json& settings);
  Page& chart(const Chart& chart);
  // Several charts in one place: a selector with their titles shows one at a time, the first at the start.
  Page& charts(const std::vector<Chart>& charts, std::string_view title);
  // A click on a heading sorts; tables of more than twelve rows have a field that filters them.
  Page& table(const Table& table, std::string_view title = {});
  // The same behind its title, opened by a click.
  Page& folded_table(const Table& table, std::string_view title);

  std::string html() const;
  // Replaces `path` in one step: a reader sees the old page or the new one.
  void write(const std::filesystem::path& path) const;

 private:
  std::string title_;
  std::string body_;
};

}  // namespace formwork
