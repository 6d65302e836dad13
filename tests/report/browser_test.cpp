// The page in a real browser, where there is one: every chart must be drawn and the policy must not stop it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "formwork/report/page.h"

namespace formwork {
namespace {

TEST(Browser, DrawsEveryChartWithoutErrors) {
  if (std::system("command -v chromium > /dev/null") != 0) GTEST_SKIP() << "no chromium on the path";
  Table table({{"size", "MB"}, {"loss"}, {"</script>'\"[0].x"}});
  for (int i = 1; i <= 9; ++i)
    table.add({{"size", i}, {"loss", 9.0 / i}, {"</script>'\"[0].x", "kind " + std::to_string(i % 3)}});
  ScatterOptions scatter{.title = "a", .x = "size", .y = "loss", .colour = "</script>'\"[0].x"};
  scatter.label = "size";
  scatter.front = pareto_front(table.rows(), "size", Better::smaller, "loss", Better::smaller);
  scatter.log_x = true;
  Page page("p");
  page.chart(scatter_chart(table, scatter))
      .chart(line_chart(table, {.title = "b", .x = "size", .y = {"loss"}}));

  const auto folder =
      std::filesystem::temp_directory_path() / ("formwork_browser." + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  page.write(folder / "page.html");
  const std::string where = folder.string();
  const std::string command =
      "timeout 60 chromium --headless --no-sandbox --disable-gpu --no-first-run "
      "--disable-background-networking "
      "--disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=8000 "
      "--user-data-dir=" +
      where + "/profile --dump-dom file://" + where + "/page.html > " + where + "/dom 2> " + where + "/log";
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::ifstream dom_file(folder / "dom"), log_file(folder / "log");
  const std::string dom{std::istreambuf_iterator<char>(dom_file), {}};
  const std::string log{std::istreambuf_iterator<char>(log_file), {}};
  size_t pictures = 0;
  for (size_t at = 0; (at = dom.find("<svg xmlns", at)) != std::string::npos; ++at) ++pictures;
  EXPECT_EQ(dom.find("could not be drawn:"),
            dom.rfind("could not be drawn:"));  // only in the script's own text
  EXPECT_EQ(log.find("CONSOLE"), std::string::npos) << log;
  EXPECT_GE(pictures, 2u);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace formwork
