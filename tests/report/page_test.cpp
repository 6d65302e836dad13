#include "formwork/report/page.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "formwork/core/error.h"
#include "formwork/report/assets.h"

namespace formwork {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kHostile = "</script><script>alert(1)</script><!-- \"'&\x01\xFF\xE2\x80\xA8";

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

Table hostile_table() {
  Table table({{kHostile, kHostile}, {"x"}, {"y"}});
  table.add({{kHostile, kHostile}, {"x", 1.5}, {"y", 2}});
  table.add({{kHostile, "plain"}, {"x", 2.5}, {"y", nullptr}});
  return table;
}

Page hostile_page() {
  Page page(kHostile);
  page.heading(kHostile).text(kHostile).settings({{kHostile, {{kHostile, kHostile}}}, {"seed", 1}});
  page.chart(scatter_chart(hostile_table(),
                           {.title = kHostile, .x = "x", .y = "y", .colour = kHostile, .caption = kHostile}));
  page.table(hostile_table(), kHostile);
  return page;
}

TEST(Page, NothingWrittenByOthersBecomesMarkup) {
  const std::string html = hostile_page().html();
  EXPECT_EQ(html.find("alert(1)</script>"), std::string::npos);
  EXPECT_EQ(html.find("<!-- "), std::string::npos);
  EXPECT_EQ(html.find('\x01'), std::string::npos);
  // Licences, three libraries, the page's own script and one chart.
  EXPECT_EQ(count(html, "<script"), 6u);
  EXPECT_EQ(count(html, "</script"), 6u);
}

TEST(Page, AssetsCannotEndTheirElements) {
  const ReportAssets assets = report_assets();
  for (std::string text :
       {std::string(assets.vega), std::string(assets.vega_lite), std::string(assets.vega_embed),
        std::string(assets.vega_licences), std::string(assets.page_script)}) {
    ASSERT_FALSE(text.empty());
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return std::tolower(c); });
    EXPECT_EQ(text.find("</script"), std::string::npos);
    EXPECT_EQ(text.find("<!--"), std::string::npos);
  }
  EXPECT_EQ(assets.page_style.find("</"), std::string::npos);
}

TEST(Page, ScriptJsonReadsBackUnchanged) {
  const Json value{{"</script>", "<!-- \xE2\x80\xA8 é"}, {"n", {1, 2.5, nullptr}}};
  const std::string text = script_json(value);
  EXPECT_EQ(text.find('<'), std::string::npos);
  EXPECT_TRUE(
      std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
  EXPECT_EQ(Json::parse(text), value);
}

TEST(Page, NumbersSortByTheirFullValue) {
  Table table({{"loss", "", ".1f"}});
  table.add({{"loss", 1.23456}});
  const std::string html = Page("p").table(table).html();
  EXPECT_NE(html.find("data-value=\"1.23456\">1.2</td>"), std::string::npos);
}

TEST(Page, OneChartOfSeveralIsChosen) {
  const Chart chart = scatter_chart(hostile_table(), {.title = "<one>", .x = "x", .y = "y"});
  const std::string html = Page("p").charts({chart, chart}, "both").html();
  EXPECT_EQ(count(html, "<option>&lt;one&gt;</option>"), 2u);
  EXPECT_EQ(count(html, "<div class=\"view\">"), 2u);
  EXPECT_EQ(count(html, "<figure class=\"chart\">"), 1u);
}

TEST(Page, LongTextsMayBreakAndTablesMayBeFolded) {
  Table table({{"reason"}});
  table.add({{"reason", std::string(60, 'x')}});
  table.add({{"reason", "short"}});
  const std::string html = Page("p").folded_table(table, "why").html();
  EXPECT_EQ(count(html, "<td class=\"long\">"), 1u);
  EXPECT_NE(html.find("<details><summary>why</summary>"), std::string::npos);
}

TEST(Page, SettingsAreNamedWithDots) {
  const std::string html = Page("p").settings({{"model", {{"width", 64}}}}).html();
  EXPECT_NE(html.find("<dt>model.width</dt>\n<dd>64</dd>"), std::string::npos);
  EXPECT_THROW(Page("p").settings(Json::array()), Error);
}

TEST(Page, ReplacesTheFileInOneStep) {
  const auto folder = std::filesystem::temp_directory_path() / ("formwork_page." + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  Page("first").write(folder / "page.html");
  Page("second").write(folder / "page.html");
  std::ifstream file(folder / "page.html");
  const std::string html{std::istreambuf_iterator<char>(file), {}};
  EXPECT_NE(html.find("<h1>second</h1>"), std::string::npos);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace formwork
