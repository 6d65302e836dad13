// Warnings of a method: lines on stderr, and lists in what is printed as JSON.
#include "cli/program.h"

namespace formwork {
namespace {

// A model of four symbols with a bank of experts in each layer.
std::string make_model_with_experts(const TemporaryFolder& folder) {
  const auto spec = (folder / "spec.json").string(), model = (folder / "model").string();
  write_atomically(spec, R"({"formwork": 1, "model": {"type": "decoder", "width": 16,
    "layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 2},
      "channel": {"type": "experts", "experts": 3, "active": 1, "hidden": 8}}]}}})");
  output_of({"train", spec, "--task", "copy", "--steps", "2", "--batch", "2", "--quiet", "--folder", model});
  return model;
}

TEST(Warnings, CompressPrintsThemAndPutsThemIntoItsRow) {
  const TemporaryFolder folder;
  const auto model = make_model_with_experts(folder), small = (folder / "small").string();
  const auto result =
      run_program({"compress", model, "int4_rtn", "--set", "group=8", "--out", small, "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(result.error.rfind("formwork: warning: 'layers.0.channel.", 0), 0u) << result.error;
  EXPECT_EQ(lines_in(result.error), 1);
  const auto row = Json::parse(result.output)[0];
  ASSERT_EQ(row.at("warnings").size(), 1u);
  EXPECT_EQ(fmt::format("formwork: warning: {}\n", row["warnings"][0].get<std::string>()), result.error);

  make_copy_model(folder / "plain");
  const auto quiet =
      run_program({"compress", (folder / "plain").string(), "int4_rtn", "--out", small, "--json"});
  EXPECT_EQ(quiet.error, "");
  EXPECT_EQ(Json::parse(quiet.output)[0].at("warnings"), Json::array());
}

TEST(Warnings, ParetoListsThemByRow) {
  const TemporaryFolder folder;
  const auto model = make_model_with_experts(folder);
  const std::vector<std::string> command = {"pareto",
                                            model,
                                            "--methods",
                                            "int4_rtn",
                                            "--task",
                                            "copy",
                                            "--samples",
                                            "4",
                                            "--repeats",
                                            "1",
                                            "--decode_tokens",
                                            "1",
                                            "--quiet",
                                            "--work",
                                            (folder / "work").string()};
  auto as_json = command;
  as_json.emplace_back("--json");
  const auto rows = Json::parse(output_of(as_json)).at("rows");
  EXPECT_FALSE(rows[0].contains("warnings")) << "the original";
  EXPECT_NE(rows[1].at("warnings")[0].get<std::string>().find("a bank of 3 matrices"), std::string::npos);
  auto with_page = command;
  with_page.insert(with_page.end(), {"--report", (folder / "page.html").string()});
  EXPECT_NE(output_of(with_page).find("\nwarnings:\n"), std::string::npos);
  EXPECT_NE(read_file(folder / "page.html").find("a bank of 3 matrices"), std::string::npos);
}

}  // namespace
}  // namespace formwork
