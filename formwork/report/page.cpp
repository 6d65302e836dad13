#include "formwork/report/page.h"

#include "formwork/core/error.h"
#include "formwork/core/file.h"
#include "formwork/report/assets.h"
#include "formwork/report/width.h"

namespace formwork {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kRowsWorthFiltering = 12;
constexpr size_t kLongText = 40;  // bytes: longer ones are broken into lines

std::string element(std::string_view tag, std::string_view text) {
  return fmt::format("<{0}>{1}</{0}>\n", tag, escape_html(text));
}

std::string script(std::string_view source) { return fmt::format("<script>{}</script>\n", source); }

void add_settings(std::string& out, const std::string& prefix, const Json& settings) {
  for (const auto& item : settings.items()) {
    const std::string name = prefix + item.key();
    if (item.value().is_object() && !item.value().empty()) {
      add_settings(out, name + ".", item.value());
    } else {
      out += "<div>" + element("dt", name) + element("dd", Column{name}.text(item.value())) + "</div>\n";
    }
  }
}

std::string table_cell(const Column& column, const Json& row, bool numeric) {
  const auto found = row.find(column.name);
  const Json value = found == row.end() ? Json() : *found;
  const std::string text = escape_html(column.text(value));
  if (!numeric) return (text.size() > kLongText ? "<td class=\"long\">" : "<td>") + text + "</td>";
  // The full value orders rows that look the same when rounded.
  return fmt::format("<td class=\"number\" data-value=\"{}\">{}</td>", value.is_number() ? value.dump() : "",
                     text);
}

std::string table_head(const Table& table) {
  std::string out = "<thead><tr>";
  for (const Column& column : table.columns()) {
    out += fmt::format("<th scope=\"col\"{}><button type=\"button\">{}</button></th>",
                       table.is_numeric(column) ? " class=\"number\"" : "", escape_html(column.heading()));
  }
  return out + "</tr></thead>\n";
}

std::string table_body(const Table& table) {
  std::string out = "<tbody>\n";
  std::vector<bool> numeric;
  for (const Column& column : table.columns()) numeric.push_back(table.is_numeric(column));
  for (const Json& row : table.rows()) {
    out += "<tr>";
    for (size_t i = 0; i < numeric.size(); ++i) out += table_cell(table.columns()[i], row, numeric[i]);
    out += "</tr>\n";
  }
  return out + "</tbody>\n";
}

std::string filter_and_table(const Table& table) {
  std::string out;
  if (table.rows().size() > kRowsWorthFiltering)
    out += "<input type=\"search\" placeholder=\"Filter rows\" aria-label=\"Filter rows\">\n";
  return out + "<div class=\"scroll\"><table>\n" + table_head(table) + table_body(table) + "</table></div>";
}

std::string plot_of(const Chart& chart) {
  return fmt::format(
      "<div class=\"view\"><div class=\"plot\" role=\"img\" aria-label=\"{}\"></div>\n"
      "<script type=\"application/json\">{}</script>\n<figcaption>{}</figcaption></div>\n",
      escape_html(chart.title), script_json(chart.spec), escape_html(chart.caption));
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : printable_text(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string script_json(const Json& value) {
  std::string out;
  // Outside strings JSON has no "<", so the escape is always inside one.
  for (const char c : value.dump(-1, ' ', true, Json::error_handler_t::replace)) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

Page::Page(std::string title) : title_(std::move(title)) {}

Page& Page::heading(std::string_view text) {
  body_ += element("h2", text);
  return *this;
}

Page& Page::text(std::string_view paragraph) {
  body_ += element("p", paragraph);
  return *this;
}

Page& Page::settings(const Json& settings) {
  if (!settings.is_object()) fail("page settings: expected an object, found {}", settings.type_name());
  body_ += "<details class=\"settings\" open><summary>Settings</summary><dl>\n";
  add_settings(body_, "", settings);
  body_ += "</dl></details>\n";
  return *this;
}

Page& Page::chart(const Chart& chart) {
  body_ += "<figure class=\"chart\">" + element("h3", chart.title) + plot_of(chart) + "</figure>\n";
  return *this;
}

Page& Page::charts(const std::vector<Chart>& charts, std::string_view title) {
  body_ += "<figure class=\"chart\">" + element("h3", title) + "<select aria-label=\"Chart\">\n";
  for (const Chart& chart : charts) body_ += element("option", chart.title);
  body_ += "</select>\n";
  for (const Chart& chart : charts) body_ += plot_of(chart);
  body_ += "</figure>\n";
  return *this;
}

Page& Page::table(const Table& table, std::string_view title) {
  body_ += "<section class=\"table\">\n";
  if (!title.empty()) body_ += element("h3", title);
  body_ += filter_and_table(table) + "</section>\n";
  return *this;
}

Page& Page::folded_table(const Table& table, std::string_view title) {
  body_ += "<section class=\"table\"><details>" + element("summary", title) + filter_and_table(table) +
           "</details></section>\n";
  return *this;
}

std::string Page::html() const {
  const ReportAssets assets = report_assets();
  const std::string title = escape_html(title_);
  std::string out = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  out +=
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src "
      "'unsafe-inline'; "
      "style-src 'unsafe-inline'; img-src data: blob:\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n";
  out += "<title>" + title + "</title>\n<style>" + std::string(assets.page_style) +
         "</style>\n</head>\n<body>\n";
  out += "<main>\n<h1>" + title + "</h1>\n" + body_ + "</main>\n";
  out += "<script type=\"text/plain\" id=\"licences\">" + std::string(assets.vega_licences) + "</script>\n";
  out +=
      script(assets.vega) + script(assets.vega_lite) + script(assets.vega_embed) + script(assets.page_script);
  return out + "</body>\n</html>\n";
}

void Page::write(const std::filesystem::path& path) const { write_atomically(path, html()); }

}  // namespace formwork
