// Runs the built program as a user does.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "formwork/core/child_process.h"
#include "formwork/core/file.h"
#include "formwork/core/tensor.h"
#include "interop/temporary_folder.h"

namespace formwork {

inline std::string program() {
  if (const char* path = std::getenv("FORMWORK_BIN")) return path;
  const auto beside = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "formwork";
  return beside.string();
}

// `before` goes in front of the program: {"env", "-u", "HOME"}.
inline ChildResult run_program(const std::vector<std::string>& arguments,
                               std::vector<std::string> before = {}) {
  auto command = std::move(before);
  command.push_back(program());
  command.insert(command.end(), arguments.begin(), arguments.end());
  ChildLimits limits;
  limits.time = std::chrono::minutes(30);  // under sanitizers a recipe takes its time
  return run_child(command, limits);
}

// Output of a run that must succeed.
inline std::string output_of(const std::vector<std::string>& arguments) {
  const auto result = run_program(arguments);
  EXPECT_EQ(result.exit_code, 0) << fmt::format("{}\n", fmt::join(arguments, " ")) << result.error;
  return result.output;
}

inline Json json_of(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  return Json::parse(output_of(arguments));
}

inline int64_t lines_in(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

// A model of four symbols, trained for two steps, in `folder`.
inline void make_copy_model(const std::filesystem::path& folder) {
  output_of({"train", "tiny-decoder", "--task", "copy", "--steps", "2", "--batch", "2", "--quiet", "--folder",
             folder.string()});
}

}  // namespace formwork
