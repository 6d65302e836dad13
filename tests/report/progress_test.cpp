#include "formwork/report/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "formwork/report/width.h"

namespace formwork {
namespace {

struct TemporaryOutput {
  std::FILE* file = std::tmpfile();
  ~TemporaryOutput() { std::fclose(file); }
  std::string text() const {
    std::string out(static_cast<size_t>(std::ftell(file)), '\0');
    std::rewind(file);
    return std::fread(out.data(), 1, out.size(), file) == out.size() ? out : "unreadable";
  }
};

// A terminal of our own: what a program writes to `file` is read back from the other end.
class PseudoTerminal {
 public:
  explicit PseudoTerminal(unsigned short columns) : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
    if (master_ < 0 || grantpt(master_) != 0 || unlockpt(master_) != 0) return;
    const winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    ioctl(master_, TIOCSWINSZ, &size);
    file = std::fopen(ptsname(master_), "w");
  }
  ~PseudoTerminal() {
    if (file != nullptr) std::fclose(file);
    if (master_ >= 0) close(master_);
  }
  // Closes `file` and reads to the end: what was written reaches this side piece by piece.
  std::string text() {
    std::fclose(std::exchange(file, nullptr));
    std::string out;
    char part[4096];
    for (ssize_t count; (count = read(master_, part, sizeof part)) > 0;)
      out.append(part, static_cast<size_t>(count));
    return out;
  }
  std::FILE* file = nullptr;

 private:
  int master_;
};

ProgressState halfway() {
  return {.what = "train",
          .done = 1500,
          .total = 3000,
          .elapsed_seconds = 100,
          .done_at_start = 1000,
          .fields = {{"loss", "2.31"}, {"tokens/s", "41.2k"}}};
}

TEST(Progress, TimeLeftCountsFromTheResumedStep) {
  EXPECT_DOUBLE_EQ(halfway().seconds_left(), 300);  // 500 steps in 100 s, 1500 left
  EXPECT_LT(ProgressState{.total = 10}.seconds_left(), 0);
  EXPECT_LT((ProgressState{.done = 5, .elapsed_seconds = 1}.seconds_left()), 0);
  EXPECT_EQ((ProgressState{.done = 12, .total = 10, .elapsed_seconds = 1}.seconds_left()), 0);
}

TEST(Progress, BarFitsEveryWidth) {
  for (int width = 0; width <= 200; ++width) EXPECT_LE(display_width(progress_bar(halfway(), width)), width);
  const std::string wide = progress_bar(halfway(), 160);
  for (const char* fact :
       {"train ━", "50 %", "1,500/3,000", "ETA 5 min 00 s", "loss 2.31", "tokens/s 41.2k"}) {
    EXPECT_NE(wide.find(fact), std::string::npos) << fact << " in " << wide;
  }
  EXPECT_NE(progress_bar(halfway(), 24).find("50 %"), std::string::npos);
}

TEST(Progress, FilesGetWholeLinesAtIntervals) {
  TemporaryOutput out;
  {
    Progress progress("train", 100, 0, {.file = out.file, .line_seconds = 3600});
    for (int step = 1; step <= 100; ++step) progress.update(step, {{"loss", std::to_string(step)}});
    progress.note("saved");
    progress.finish();
    progress.finish();
  }
  const std::string text = out.text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3) << text;  // first, note, last
  EXPECT_EQ(text.find('\r'), std::string::npos);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("100/100"), std::string::npos);
}

TEST(Progress, TerminalBarsRedrawOneLineAndEndIt) {
  setenv("TERM", "xterm", 1);
  PseudoTerminal terminal(60);
  if (terminal.file == nullptr) GTEST_SKIP() << "no pseudo-terminal here";
  try {
    Progress progress("train", 100, 0, {.file = terminal.file, .redraw_seconds = 0});
    for (int step = 1; step <= 5; ++step) progress.update(step, {{"loss", "2.5"}});
    progress.note("saved");
    throw std::runtime_error("interrupted");
  } catch (const std::runtime_error&) {
  }
  const std::string text = terminal.text();
  size_t bars = 0;
  for (size_t at = 0; (at = text.find("\rtrain", at)) != std::string::npos; ++bars) {
    const size_t end = text.find("\x1b[K", at);
    ASSERT_NE(end, std::string::npos);
    EXPECT_LT(display_width(text.substr(at + 1, end - at - 1)), 60);
    at = end;
  }
  EXPECT_EQ(bars, 6u);  // five updates and once more below the note
  EXPECT_NE(text.find("\r\x1b[Ksaved\r\n"), std::string::npos);
  EXPECT_EQ(text.substr(text.size() - 2), "\r\n");
}

TEST(Progress, ShortFormsKeepThreeDigits) {
  EXPECT_EQ(short_number(950), "950");
  EXPECT_EQ(short_number(0.1234), "0.12");
  EXPECT_EQ(short_number(999.7), "1.00k");
  EXPECT_EQ(short_number(41234), "41.2k");
  EXPECT_EQ(short_number(999'600), "1.00M");
  EXPECT_EQ(short_number(3.049e6), "3.05M");
  EXPECT_EQ(short_number(NAN), "nan");
  EXPECT_EQ(short_duration(59.6), "1 min 00 s");
  EXPECT_EQ(short_duration(7500), "2 h 05 min");
  EXPECT_EQ(short_duration(356'400), "4 d 03 h");
  EXPECT_EQ(short_duration(INFINITY), "-");
  EXPECT_EQ(short_bytes(1.24e9), "1.24 GB");
  EXPECT_EQ(short_bytes(12), "12 B");
  EXPECT_GT(resident_bytes(), 1 << 20);
}

}  // namespace
}  // namespace formwork
