// A run that is killed a hundred times, each time at another instant, ends as if it had never been.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "formwork/interop/checkpoint_folder.h"
#include "train/small_run.h"

namespace formwork {
namespace {

constexpr const char* kFolderVariable = "FORMWORK_KILL_TEST_FOLDER";
constexpr int kKills = 100;

TrainOptions long_options(const std::filesystem::path& folder) {
  auto options = small_options();
  options.steps = 100000, options.save_every = 1, options.ema = 0.9;
  options.folder = (folder / "run").string(), options.resume = true;
  return options;
}

// Waits until a trainer that was started at `start` has saved something -> the microseconds since then.
double wait_for_checkpoint(const std::filesystem::path& folder, std::chrono::steady_clock::time_point start) {
  const auto passed = [&] {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  };
  while (!newest_checkpoint(folder / "run/checkpoints") && passed() < 120e6) ::usleep(500);
  return passed();
}

// Only the child process below runs this: it has no threads yet, so it may fork trainers and kill them.
TEST(KillTest, DISABLED_Nursery) {
  const std::filesystem::path folder = std::getenv(kFolderVariable);
  double life = 0;  // of a trainer up to its first checkpoint, on this machine as busy as it is now
  for (int i = 0; i < kKills; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      at::set_num_threads(1);
      auto model = small_decoder();
      train(*model, *small_task(folder), long_options(folder));
      ::_exit(1);  // it must never come to its end
    }
    if (i == 0)
      life = wait_for_checkpoint(folder, start);
    else
      ::usleep(static_cast<useconds_t>(life * (0.5 + 1.5 * i / kKills)));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "kill " << i;
  }
}

TEST(KillTest, AHundredKillsLoseNothing) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "run");
  const pid_t nursery = ::fork();
  ASSERT_GE(nursery, 0);
  if (nursery == 0) {
    ::setenv(kFolderVariable, folder.path().c_str(), 1);
    ::execl("/proc/self/exe", "test_train", "--gtest_filter=KillTest.DISABLED_Nursery",
            "--gtest_also_run_disabled_tests", static_cast<char*>(nullptr));
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(nursery, &status, 0);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  const auto newest = newest_checkpoint(folder / "run/checkpoints");
  ASSERT_TRUE(newest) << "no trainer lived long enough to save";
  RecordProperty("steps", static_cast<int>(newest->step));
  // One more step from there equals a run of that many steps that nothing killed.
  auto options = long_options(folder.path());
  options.stop_after = newest->step + 1;
  auto killed = small_decoder(), straight = small_decoder();
  train(*killed, *small_task(folder.path()), options);
  options.folder = (folder / "straight").string(), options.resume = false;
  options.save_every = options.stop_after;
  train(*straight, *small_task(folder.path()), options);
  EXPECT_EQ(greatest_difference(*killed, *straight), 0);
}

}  // namespace
}  // namespace formwork
