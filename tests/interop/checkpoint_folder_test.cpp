#include "formwork/interop/checkpoint_folder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "formwork/core/file.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

std::vector<int64_t> steps(const fs::path& folder) {
  std::vector<int64_t> found;
  for (const auto& checkpoint : list_checkpoints(folder)) found.push_back(checkpoint.step);
  return found;
}

size_t entries(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

// Two files whose bytes follow from the step, so that a mixture of two checkpoints is seen.
std::map<std::string, std::string> files_of(int64_t step) {
  return {{"model", std::string(20'000 + static_cast<size_t>(step % 7), static_cast<char>('a' + step % 26))},
          {"state", std::to_string(step)}};
}

void expect_complete(const Checkpoint& checkpoint) {
  for (const auto& [name, bytes] : files_of(checkpoint.step)) {
    ASSERT_EQ(read_file(checkpoint.folder / name), bytes) << name << " of step " << checkpoint.step;
  }
}

TEST(CheckpointFolder, KeepsTheNewestAndLoadsThem) {
  TemporaryFolder parent;
  const auto folder = parent / "new" / "run";
  EXPECT_FALSE(newest_checkpoint(folder).has_value());
  for (int64_t step : {0, 5, 90, 1000}) save_checkpoint(folder, step, files_of(step), 2);
  EXPECT_EQ(steps(folder), (std::vector<int64_t>{90, 1000}));
  EXPECT_EQ(entries(folder), 2u);
  expect_complete(*newest_checkpoint(folder));
}

TEST(CheckpointFolder, AWriterMayMakeFoldersAndMayFail) {
  TemporaryFolder folder;
  const auto saved = save_checkpoint(folder.path(), 1, [](const fs::path& target) {
    fs::create_directory(target / "optimizer");
    write_atomically(target / "optimizer" / "moments", "12");
  });
  EXPECT_EQ(read_file(saved.folder / "optimizer" / "moments"), "12");
  const auto failing = [&] { save_checkpoint(folder.path(), 2, [](const fs::path&) { fail("no data"); }); };
  EXPECT_EQ(error_of(failing), "no data");
  EXPECT_EQ(steps(folder.path()), (std::vector<int64_t>{1}));
  EXPECT_EQ(entries(folder.path()), 1u);
}

TEST(CheckpointFolder, StepsOnlyRiseUntilLaterOnesAreDiscarded) {
  TemporaryFolder folder;
  for (int64_t step : {10, 20, 30}) save_checkpoint(folder.path(), step, files_of(step));
  const auto save20 = [&] { save_checkpoint(folder.path(), 20, files_of(20)); };
  EXPECT_NE(error_of(save20).find("not above the newest checkpoint, step 30"), std::string::npos);
  discard_checkpoints_after(folder.path(), 10);
  EXPECT_EQ(steps(folder.path()), (std::vector<int64_t>{10}));
  EXPECT_EQ(error_of(save20), "");
  EXPECT_NE(error_of([&] { save_checkpoint(folder.path(), -1, files_of(0)); }).find(">= 0"),
            std::string::npos);
  EXPECT_NE(error_of([&] { save_checkpoint(folder.path(), 40, files_of(40), 0); }).find("at least 1"),
            std::string::npos);
}

TEST(CheckpointFolder, DamagedAndUnfinishedOnesArePassedOver) {
  TemporaryFolder folder;
  for (int64_t step : {1, 2, 3, 4}) save_checkpoint(folder.path(), step, files_of(step), 9);
  fs::remove(folder / "step-000000000004" / "checkpoint.json");
  fs::resize_file(folder / "step-000000000003" / "model", 100);
  fs::create_directory(folder / ".unfinished-step-000000000009");
  fs::create_directory(folder / "step-99");
  write_atomically(folder / "step-notes", "mine");
  EXPECT_EQ(steps(folder.path()), (std::vector<int64_t>{1, 2}));
  save_checkpoint(folder.path(), 3, files_of(3), 9);  // replaces the damaged one
  expect_complete(*newest_checkpoint(folder.path()));
  EXPECT_EQ(steps(folder.path()), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_FALSE(fs::exists(folder / ".unfinished-step-000000000009"));
  EXPECT_TRUE(fs::exists(folder / "step-notes"));
}

// Runs in a child process: reports `step` to say that it has begun, then saves every later step and reports
// each finished one through the pipe.
[[noreturn]] void save_for_ever(const fs::path& folder, int64_t step, int report) {
  while (::write(report, &step, sizeof(step)) == sizeof(step)) {
    ++step;
    save_checkpoint(folder, step, files_of(step), 2);
  }
  ::_exit(1);
}

// Memory if there is some: syncing a busy disk takes long, and a killed process loses no written page anyway.
fs::path fast_folder() { return fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path(); }

int64_t microseconds_of_a_save() {
  TemporaryFolder folder(fast_folder());
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t step : {1, 2, 3, 4}) save_checkpoint(folder.path(), step, files_of(step), 2);
  return (std::chrono::steady_clock::now() - begin) / std::chrono::microseconds(4);
}

// The last step that the child reported before it died: from then on it was promised to be on the device.
int64_t last_reported(int pipe, int64_t before) {
  int64_t step = before;
  while (::read(pipe, &step, sizeof(step)) == sizeof(step)) continue;
  return step;
}

TEST(CheckpointFolder, SurvivesAHundredKillsAtRandomInstants) {
  const auto longest_wait = static_cast<uint32_t>(8 * microseconds_of_a_save());
  TemporaryFolder folder(fast_folder());
  std::mt19937 random(3);
  int64_t newest = -1;
  int killed_while_saving = 0;
  for (int round = 0; round < 100; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) save_for_ever(folder.path(), newest, ends[1]);
    ::close(ends[1]);
    int64_t begun = 0;
    ASSERT_EQ(::read(ends[0], &begun, sizeof(begun)), static_cast<ssize_t>(sizeof(begun)));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % longest_wait));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child stopped by itself";
    const int64_t promised = last_reported(ends[0], newest);
    ::close(ends[0]);
    killed_while_saving += fs::exists(folder / fmt::format(".unfinished-step-{:012}", promised + 1));
    const auto found = newest_checkpoint(folder.path());
    if (promised < 0 && !found) continue;
    ASSERT_TRUE(found.has_value());
    ASSERT_GE(found->step, promised);
    expect_complete(*found);
    newest = found->step;
  }
  EXPECT_GT(newest, 50);
  EXPECT_GT(killed_while_saving, 0) << "no kill hit a save: the test proves nothing on this machine";
  save_checkpoint(folder.path(), newest + 1, files_of(newest + 1), 2);
  EXPECT_EQ(entries(folder.path()), 2u) << "leftovers of crashes are cleaned";
}

}  // namespace
}  // namespace formwork
