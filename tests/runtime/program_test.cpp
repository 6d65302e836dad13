// formwork-run against formwork generate, and the C example.
#include "cli/program.h"

#include <filesystem>

#include "formwork/interop/gguf_export.h"
#include "formwork/text/byte_tokenizer.h"
#include "runtime/fixtures.h"

namespace formwork {
namespace {

std::string beside(const std::string& name) {
  return (std::filesystem::path(program()).parent_path() / name).string();
}

ChildResult run_beside(const std::string& name, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), beside(name));
  ChildLimits limits;
  limits.time = std::chrono::minutes(2);
  return run_child(arguments, limits);
}

class Program : public testing::Test {
 protected:
  static constexpr const char* kMixer = R"({"type": "attention", "heads": 4, "position": "rotary"})";
  TemporaryFolder folder_;
  Program() { save_model(*noisy_float(small_spec(kMixer, 256)), folder()); }
  std::string folder() const { return (folder_ / "model").string(); }
  std::string generated(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"generate", folder(), "--prompt", "abc", "--tokens", "40"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return output_of(arguments);
  }
  std::string ran(std::vector<std::string> more) {
    std::vector<std::string> arguments = {folder(), "--prompt", "abc", "--tokens", "40"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_beside("formwork-run", arguments);
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return result.output;
  }
};

TEST_F(Program, MakesTheTokensOfGenerate) {
  EXPECT_EQ(ran({}), generated({}));
  EXPECT_EQ(
      ran({"--temperature", "0.8", "--top-k", "20", "--seed", "3"}),
      generated({"--decode", "sample", "--set", "temperature=0.8", "--set", "top_k=20", "--seed", "3"}));
  EXPECT_EQ(ran({"--threads", "2"}), ran({"--threads", "1"}));
  EXPECT_EQ(ran({"--cache", "bf16"}).substr(0, 3), "abc");
}

TEST_F(Program, TakesTokenIds) {
  const auto result = run_beside("formwork-run", {folder(), "--ids", "97,98,99", "--tokens", "5"});
  std::string expected;
  for (const char c : ran({}).substr(3, 5))
    expected += (expected.empty() ? "" : ",") + std::to_string(static_cast<unsigned char>(c));
  EXPECT_EQ(result.output, expected + "\n");
}

TEST_F(Program, ReadsFilesOfOthers) {
  const auto gguf = (folder_ / "model.gguf").string(), theirs = (folder_ / "theirs").string();
  output_of({"export", folder(), "--out", gguf});
  output_of({"export", folder(), "--out", theirs});
  for (const auto& path : {gguf, theirs}) {
    const auto made = output_of({"generate", path, "--ids", "97,98,99", "--tokens", "40"});
    const auto result = run_beside("formwork-run", {path, "--ids", "97,98,99", "--tokens", "40"});
    EXPECT_EQ(result.exit_code, 0) << result.error;
    auto found = result.output;
    std::replace(found.begin(), found.end(), ',', ' ');
    EXPECT_EQ(found, made) << path;
  }
}

TEST_F(Program, ReadsTheTokenizerOfAGgufFile) {
  auto spec = small_spec(kMixer, 256);
  spec["meta"] = {{"tokenizer", Json::parse(byte_tokenizer()->to_json().dump())}};
  const auto gguf = (folder_ / "model.gguf").string();
  export_gguf(noisy_float(spec), gguf);
  const auto made = output_of({"generate", gguf, "--prompt", "abc", "--tokens", "40"});
  const auto result = run_beside("formwork-run", {gguf, "--prompt", "abc", "--tokens", "40"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(result.output, made);
  const auto in_c = run_beside("example_c", {gguf, "abc", "40"});
  EXPECT_EQ(in_c.exit_code, 0) << in_c.error;
  EXPECT_EQ(in_c.output, made);
}

TEST_F(Program, SaysInOneLineWhatIsWrong) {
  const auto fails = [&](std::vector<std::string> arguments, const std::string& line) {
    const auto result = run_beside("formwork-run", std::move(arguments));
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.error.find(line), std::string::npos) << result.error;
    EXPECT_EQ(lines_in(result.error), 1);
  };
  fails({folder()}, "expected a prompt: --prompt TEXT or --ids 1,2,3");
  fails({folder(), "--ids", "256"}, "token id 256 is outside the vocabulary of 256");
  fails({folder() + "-none", "--prompt", "a"}, "cannot read '" + folder() + "-none'");
  const auto gguf = (folder_ / "model.gguf").string();
  fails({gguf, "--ids", "1"}, "cannot read '" + gguf + "': no such file or folder");
  fails({folder_.path().string(), "--ids", "1"},
        "expected a model: a folder with formwork.json or config.json");
  write_atomically(gguf, "GGUF\3");
  fails({gguf, "--ids", "1"}, gguf + ": ");
  std::filesystem::create_directories(folder_ / "bert");
  const auto config = (folder_ / "bert" / "config.json");
  write_atomically(config, R"({"model_type": "berd", "vocab_size": 11})");
  fails({(folder_ / "bert").string(), "--ids", "1"}, "model_type 'berd' is not known; the nearest is 'bert'");
}

TEST_F(Program, TheExampleInCMakesTheSameTokens) {
  const auto result = run_beside("example_c", {folder(), "abc", "40"});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(result.output, ran({}));
  const auto wrong = run_beside("example_c", {folder() + "-none", "abc", "40"});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_NE(wrong.error.find("cannot read"), std::string::npos) << wrong.error;
}

// One file of at most 15 MB that asks for no other.
TEST(Binary, IsSmallAndStatic) {
  if (std::getenv("FORMWORK_SANITIZED")) GTEST_SKIP() << "sanitizers have shared libraries";
  const auto path = beside("formwork-run");
  const auto stripped = ::testing::TempDir() + "/formwork-run-stripped";
  ASSERT_EQ(run_child({"strip", "-o", stripped, path}).exit_code, 0);
  EXPECT_LE(std::filesystem::file_size(stripped), 15u << 20);
  const auto needed = run_child({"readelf", "-d", path});
  EXPECT_EQ(needed.output.find("NEEDED"), std::string::npos) << needed.output;
}

}  // namespace
}  // namespace formwork
