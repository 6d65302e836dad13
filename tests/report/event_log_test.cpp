#include "formwork/report/event_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <fstream>

#include "formwork/core/error.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

class EventLogTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("formwork_event_log." + std::to_string(getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class Word>
Word word_at(const std::string& bytes, size_t at) {
  Word word = 0;
  for (size_t i = 0; i < sizeof(Word); ++i)
    word |= Word{static_cast<unsigned char>(bytes.at(at + i))} << (8 * i);
  return word;
}

uint32_t unmasked(uint32_t masked) { return std::rotl(masked - 0xA282EAD8u, 15); }

// The payloads of a TFRecord file, every check sum verified.
std::vector<std::string> payloads(const std::string& bytes) {
  std::vector<std::string> out;
  for (size_t at = 0; at < bytes.size();) {
    const auto length = word_at<uint64_t>(bytes, at);
    EXPECT_EQ(unmasked(word_at<uint32_t>(bytes, at + 8)), crc32c(bytes.substr(at, 8)));
    out.push_back(bytes.substr(at + 12, length));
    EXPECT_EQ(unmasked(word_at<uint32_t>(bytes, at + 12 + length)), crc32c(out.back()));
    at += 16 + length;
  }
  return out;
}

TEST(Crc32c, MatchesThePublishedVectors) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);            // the algorithm's check value
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(ScalarEvent, IsTheProtocolBufferByteForByte) {
  using std::string_literals::operator""s;
  EXPECT_EQ(scalar_event(1.0, 300, {{"a", 0.5}}),
            "\x09\0\0\0\0\0\0\xF0\x3F"s  // wall_time: 1.0
            "\x10\xAC\x02"s              // step: 300
            "\x2A\x0A\x0A\x08"s          // summary { value {
            "\x0A\x01"
            "a"s                 //   tag: "a"
            "\x15\0\0\0\x3F"s);  //   simple_value: 0.5 } }
}

TEST_F(EventLogTest, FramesEveryRecord) {
  EventLog log(folder_);
  log.add(1, {{"loss", 2.5}});
  log.add(2, {{"loss", NAN}});
  const auto records = payloads(contents(log.tensorboard_path()));
  ASSERT_EQ(records.size(), 3u);
  EXPECT_NE(records[0].find("brain.Event:2"), std::string::npos);
  EXPECT_NE(records[1].find("loss"), std::string::npos);
}

TEST_F(EventLogTest, ReadsBackWhatItWrote) {
  {
    EventLog log(folder_);
    log.add(1, {{"loss", 2.5}, {"tokens/s", 1e6}});
    log.add(2, {{"loss", NAN}, {"gradient \"norm\"\n", -INFINITY}});
    EXPECT_THROW(log.add(3, {{"step", 1}}), Error);
  }
  const auto rows = read_metrics(folder_ / "metrics.jsonl");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].at("loss"), 2.5);
  EXPECT_EQ(rows[1].at("loss"), "nan");
  EXPECT_EQ(rows[1].at("gradient \"norm\"\n"), "-inf");
}

TEST_F(EventLogTest, ResumingRemovesTornAndLaterLines) {
  for (int run = 0; run < 2; ++run) EventLog(folder_).add(run + 1, {{"loss", 1.0}});
  std::ofstream(folder_ / "metrics.jsonl", std::ios::app) << R"({"step": 3, "lo)";
  EXPECT_EQ(read_metrics(folder_ / "metrics.jsonl").size(), 2u);
  EventLog(folder_).add(3, {{"loss", 3.0}});
  EXPECT_EQ(read_metrics(folder_ / "metrics.jsonl").size(), 3u);
  EventLog(folder_, 1).add(2, {{"loss", 9.0}});
  const auto rows = read_metrics(folder_ / "metrics.jsonl");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].at("loss"), 9.0);
}

TEST_F(EventLogTest, NamesTheBadLine) {
  fs::create_directories(folder_);
  std::ofstream(folder_ / "metrics.jsonl") << "{\"step\": 1}\nnonsense\n";
  try {
    read_metrics(folder_ / "metrics.jsonl");
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("line 2"), std::string::npos);
  }
  EXPECT_THROW(read_metrics(folder_ / "absent"), Error);
  EXPECT_THROW(EventLog("/dev/null/x"), Error);
}

// The reader that TensorBoard itself uses, where Python has it.
TEST_F(EventLogTest, TensorBoardReadsIt) {
  const char* python = std::getenv("FORMWORK_PYTHON");
  const std::string program = python ? python : "python3";
  if (std::system((program + " -c 'import tensorboard' 2>/dev/null").c_str()) != 0) {
    GTEST_SKIP() << "no tensorboard for " << program << "; set FORMWORK_PYTHON to one that has it";
  }
  EventLog log(folder_);
  for (int step = 0; step < 5; ++step) log.add(step, {{"loss", 0.5 * step}, {"eval/accuracy", 1.0}});
  std::ofstream(folder_ / "read.py") << R"(
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1]); events.Reload()
assert [(e.step, e.value) for e in events.Scalars('loss')] == [(i, 0.5 * i) for i in range(5)]
assert sorted(events.Tags()['scalars']) == ['eval/accuracy', 'loss']
)";
  const std::string command = program + " " + (folder_ / "read.py").string() + " " + folder_.string();
  EXPECT_EQ(std::system((command + " 2>" + (folder_ / "errors").string()).c_str()), 0)
      << contents(folder_ / "errors");
}

}  // namespace
}  // namespace formwork
