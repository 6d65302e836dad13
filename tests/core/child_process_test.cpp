#include "formwork/core/child_process.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "formwork/core/error.h"

namespace formwork {
namespace {

using std::chrono::milliseconds;

ChildResult shell(const std::string& script, const ChildLimits& limits = {}, const std::string& input = "") {
  return run_child({"sh", "-c", script}, limits, input);
}

TEST(ChildProcess, CapturesBothStreamsAndTheExitCode) {
  const auto result = shell("echo out; echo err >&2; exit 3");
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.error, "err\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(shell("kill -9 $$").exit_code, 128 + SIGKILL);
}

TEST(ChildProcess, PassesArgumentsAsTheyAreAndInputOfAnySize) {
  EXPECT_EQ(run_child({"printf", "%s|", "a b", "$HOME", ""}).output, "a b|$HOME||");
  const std::string input(3'000'000, 'x');
  EXPECT_EQ(run_child({"cat"}, {}, input).output, input);
  EXPECT_EQ(shell("exit 0", {}, input).exit_code, 0) << "input that nobody reads";
}

TEST(ChildProcess, AMissingProgramIsAnErrorWithItsName) {
  try {
    run_child({"no-such-program-here"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "cannot run 'no-such-program-here': No such file or directory");
  }
  EXPECT_THROW(run_child({}), Error);
}

TEST(ChildProcess, TimeoutKillsTheWholeGroup) {
  ChildLimits limits;
  limits.time = milliseconds(2000);  // an emulated shell on a busy machine takes more than 200 ms to begin
  const auto begin = std::chrono::steady_clock::now();
  const auto result = shell("sleep 60 & echo $!; echo kept >&2; wait", limits);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(5000));
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.error, "kept\n");
  const pid_t grandchild = std::stoi(result.output);
  bool gone = false;
  for (int i = 0; i < 100 && !gone; ++i) {
    // A killed process may stay for a moment as a zombie: state Z.
    const auto state = run_child({"cat", "/proc/" + std::to_string(grandchild) + "/stat"}).output;
    gone = state.empty() || state.find(") Z ") != std::string::npos;
  }
  EXPECT_TRUE(gone);
}

TEST(ChildProcess, ReturnsWhenTheChildEndsThoughItsOwnChildHoldsThePipes) {
  const auto begin = std::chrono::steady_clock::now();
  const auto result = shell("sleep 60 & echo done");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(5000));
  EXPECT_EQ(result.output, "done\n");
  EXPECT_FALSE(result.timed_out);
}

// User-mode emulators accept a limit on address space and ignore it.
bool address_space_can_be_limited() {
  rlimit before{}, after{};
  ::getrlimit(RLIMIT_AS, &before);
  const rlimit large{rlim_t{1} << 46, before.rlim_max};
  ::setrlimit(RLIMIT_AS, &large);
  ::getrlimit(RLIMIT_AS, &after);
  ::setrlimit(RLIMIT_AS, &before);
  return after.rlim_cur == large.rlim_cur;
}

TEST(ChildProcess, LimitsMemory) {
  if (!address_space_can_be_limited()) GTEST_SKIP() << "SKIPPED: address space cannot be limited here";
  ChildLimits limits;
  limits.memory_bytes = 200u << 20;
  EXPECT_EQ(shell("dd if=/dev/zero of=/dev/null bs=1M count=1 2>/dev/null", limits).exit_code, 0);
  EXPECT_NE(shell("dd if=/dev/zero of=/dev/null bs=500M count=1 2>/dev/null", limits).exit_code, 0);
}

TEST(ChildProcess, LimitsFilesAndKeptOutput) {
  ChildLimits limits;
  limits.output_bytes = 1000;
  limits.file_bytes = 100'000;
  const auto chatty = shell("head -c 5000000 /dev/zero", limits);
  EXPECT_EQ(chatty.exit_code, 0);
  EXPECT_EQ(chatty.output.size(), 1000u);
  EXPECT_TRUE(chatty.output_cut);
  EXPECT_NE(shell("t=$(mktemp); head -c 5000000 /dev/zero > $t; e=$?; rm $t; exit $e", limits).exit_code, 0);
}

TEST(ChildProcess, CutsTheNetworkWherePermitted) {
  ChildLimits limits;
  limits.network = false;
  const auto result = shell("cat /proc/net/dev", limits);
  EXPECT_EQ(result.exit_code, 0);
  if (!result.network_cut) GTEST_SKIP() << "SKIPPED: the kernel permits no network namespace here";
  // Two title lines and the loopback interface, which is down.
  EXPECT_EQ(std::count(result.output.begin(), result.output.end(), '\n'), 3) << result.output;
}

}  // namespace
}  // namespace formwork
