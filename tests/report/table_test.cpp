#include "formwork/report/table.h"

#include <gtest/gtest.h>

#include <sstream>

#include "formwork/core/error.h"
#include "formwork/report/width.h"

namespace formwork {
namespace {

using Json = nlohmann::ordered_json;

Table sample() {
  Table table({{"name"}, {"loss", "nats", ".3f"}, {"steps"}});
  table.add({{"name", "dense"}, {"loss", 1.23456}, {"steps", 100}, {"detail", "kept"}});
  table.add({{"name", "low-rank"}, {"loss", 12.5}, {"steps", nullptr}});
  return table;
}

TEST(Table, AlignsTextLeftAndNumbersRight) {
  EXPECT_EQ(sample().text(),
            "name      loss (nats)  steps\n"
            "────────  ───────────  ─────\n"
            "dense           1.235    100\n"
            "low-rank       12.500      -\n");
}

TEST(Table, KeepsEveryKeyAsJson) {
  const Json rows = sample().json();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].dump(), R"({"name":"dense","loss":1.23456,"steps":100,"detail":"kept"})");
  EXPECT_EQ(Table({{"a"}}).json().dump(), "[]");
}

TEST(Table, EscapesMarkdown) {
  Table table({{"a|b"}, {"n"}});
  table.add({{"a|b", "x|y\n<img>"}, {"n", 2}});
  EXPECT_EQ(table.markdown(), "| a\\|b | n |\n| --- | ---: |\n| x\\|y \\<img\\> | 2 |\n");
}

TEST(Table, NoLineIsWiderThanTheTerminal) {
  Table table({{"name"}, {"note"}, {"loss", "nats", ".3f"}, {"memory", "MB"}});
  table.add({{"name", "系统系统系统系统系统"}, {"note", std::string(60, 'x')}, {"loss", 3.0}, {"memory", 7}});
  table.add({{"name", "e\xCC\x81"}, {"note", "short"}, {"loss", -1234.5}, {"memory", 123456}});
  for (int width = 1; width < 120; ++width) {
    std::istringstream lines(table.text(width));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), width) << line;
  }
  EXPECT_NE(table.text(20).find("not shown: "), std::string::npos);
  EXPECT_EQ(table.text(120).find("…"), std::string::npos);
  // Text gives way before numbers do.
  EXPECT_NE(table.text(50).find("-1234.500"), std::string::npos);
  EXPECT_NE(table.text(50).find("…"), std::string::npos);
}

TEST(Table, ControlCharactersNeverReachTheTerminal) {
  Table table({{"name"}});
  table.add({{"name", "a\x1b[31mred\r\n\tb"}});
  const std::string text = table.text();
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\r'), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
}

TEST(Table, RefusesWhatCannotBeShown) {
  EXPECT_THROW(Table({{"a"}, {"a"}}), Error);
  EXPECT_THROW(Table({{""}}), Error);
  EXPECT_THROW(Table({{"a", "", ".2q"}}), Error);
  EXPECT_THROW(sample().add(Json::array()), Error);
  EXPECT_THROW(sample().add({{"nmae", "x"}}), Error);
}

TEST(Table, ListsOfNumbersAreShownAsNumbersAre) {
  EXPECT_EQ(Column{"x"}.text(Json::parse("[2, 0.123456789, -3.5]")), "[2,0.1235,-3.5]");
  EXPECT_EQ(Column({"x", "", ".1f"}).text(Json::parse("[0.26]")), "[0.3]");
  EXPECT_EQ(Column{"x"}.text(Json::parse("[]")), "[]");
  EXPECT_EQ(Column{"x"}.text(Json::parse("[1, \"a\"]")), "[1,\"a\"]");
}

TEST(Table, InfersColumnsAndFormatsByType) {
  const Table table = Table::from_rows({{{"b", true}, {"x", 1e-7}}, {{"x", 1234567}, {"z", {1, 2}}}});
  ASSERT_EQ(table.columns().size(), 3u);
  EXPECT_EQ(table.text(),
            "b          x  z\n"
            "───  ───────  ─────\n"
            "yes    1e-07  -\n"
            "-    1234567  [1,2]\n");
}

TEST(Width, CountsColumnsAndNeverSplitsACharacter) {
  EXPECT_EQ(display_width("añ…"), 3);
  EXPECT_EQ(display_width("日本"), 4);
  EXPECT_EQ(display_width("e\xCC\x81"), 1);
  EXPECT_EQ(display_width("😀"), 2);
  EXPECT_EQ(display_width("\xFF\xE6\x97"), 3);  // invalid bytes count one each
  EXPECT_EQ(fit_width("日本語", 5), "日本…");
  EXPECT_EQ(fit_width("日本語", 4), "日…");
  EXPECT_EQ(fit_width("日本語", 6), "日本語");
  EXPECT_EQ(fit_width("abc", 1), "…");
  EXPECT_EQ(fit_width("abc", 0), "");
  EXPECT_EQ(pad_width("日", 4, true), "  日");
  EXPECT_EQ(printable_text("\xC0\xAF\xED\xA0\x80"),
            "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

}  // namespace
}  // namespace formwork
