#include "formwork/core/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "error_of.h"
#include "formwork/core/error.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("formwork-file-{}", ::getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  size_t count() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(FileTest, WritesAndReadsBackAnyBytes) {
  std::string bytes;
  for (int i = 0; i < 700'000; ++i) bytes += static_cast<char>(i * 31 + i / 256);
  write_atomically(folder_ / "a", [&](OutputFile& file) {
    size_t from = 0;  // pieces below, at and above the buffer size
    for (size_t size : {size_t{1}, size_t{0}, size_t{262'143}, size_t{262'144}, bytes.size()}) {
      file.write(std::string_view(bytes).substr(from, size));
      from = std::min(from + size, bytes.size());
    }
  });
  EXPECT_EQ(read_file(folder_ / "a"), bytes);
  EXPECT_EQ(MappedFile(folder_ / "a").bytes(), bytes);
  write_atomically(folder_ / "a", "");
  EXPECT_EQ(read_file(folder_ / "a"), "");
  EXPECT_EQ(MappedFile(folder_ / "a").size(), 0u);
  EXPECT_EQ(count(), 1u);
}

TEST_F(FileTest, ReadsFilesWithoutAStatedSize) { EXPECT_FALSE(read_file("/proc/self/status").empty()); }

TEST_F(FileTest, AWriterThatThrowsLeavesTheOldFile) {
  write_atomically(folder_ / "a", "old");
  const auto write = [&] {
    write_atomically(folder_ / "a", [](OutputFile& file) {
      file.write(std::string(1 << 20, 'x'));
      fail("stopped");
    });
  };
  EXPECT_EQ(error_of(write), "stopped");
  EXPECT_EQ(read_file(folder_ / "a"), "old");
  EXPECT_EQ(count(), 1u);
}

TEST_F(FileTest, AFullDiskIsAnErrorAndLeavesTheOldFile) {
  write_atomically(folder_ / "a", "old");
  // A limit on file sizes stands in for a full disk.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1 << 16, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto message = error_of([&] { write_atomically(folder_ / "a", std::string(1 << 20, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find("cannot write '" + (folder_ / "a").string()), std::string::npos) << message;
  EXPECT_NE(message.find("File too large"), std::string::npos) << message;
  EXPECT_EQ(read_file(folder_ / "a"), "old");
  EXPECT_EQ(count(), 1u);
}

TEST_F(FileTest, ReplacesALinkAndNotItsTarget) {
  write_atomically(folder_ / "target", "target");
  fs::create_symlink("target", folder_ / "link");
  write_atomically(folder_ / "link", "new");
  EXPECT_EQ(read_file(folder_ / "target"), "target");
  EXPECT_EQ(read_file(folder_ / "link"), "new");
}

TEST_F(FileTest, ErrorsNameThePathAndTheReason) {
  const auto missing = (folder_ / "missing").string();
  EXPECT_EQ(error_of([&] { read_file(missing); }),
            "cannot read '" + missing + "': No such file or directory");
  EXPECT_EQ(error_of([&] { MappedFile{missing}; }),
            "cannot map '" + missing + "': No such file or directory");
  EXPECT_EQ(error_of([&] { read_file(folder_); }), "cannot read '" + folder_.string() + "': Is a directory");
  EXPECT_EQ(error_of([&] { MappedFile{folder_}; }),
            "cannot map '" + folder_.string() + "': not a regular file");
  EXPECT_NE(error_of([&] { write_atomically(folder_ / "no" / "a", "x"); }).find("No such file"),
            std::string::npos);
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_NE(error_of([&] { MappedFile{folder_ / "pipe"}; }).find("not a regular file"), std::string::npos);
}

TEST_F(FileTest, WritesToAMappingStayInThisProcess) {
  write_atomically(folder_ / "a", "old");
  MappedFile file(folder_ / "a");
  file.data()[0] = std::byte{'O'};
  EXPECT_EQ(file.bytes(), "Old");
  EXPECT_EQ(read_file(folder_ / "a"), "old");
  MappedFile moved(std::move(file));
  EXPECT_EQ(moved.bytes(), "Old");
  moved = MappedFile(folder_ / "a");
  EXPECT_EQ(moved.bytes(), "old");
}

}  // namespace
}  // namespace formwork
