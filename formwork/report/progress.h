// How far a long run is: a bar that redraws itself on a terminal, one plain line at intervals elsewhere.
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace formwork {

// Named values shown behind the bar, in order: {"loss", "2.313"}, {"tokens/s", "41.2k"}.
using ProgressFields = std::vector<std::pair<std::string, std::string>>;

// Resident memory of this process in bytes; 0 where the system does not say.
int64_t resident_bytes();

// "950", "41.2k", "3.05M", "1.2G": three significant digits.
std::string short_number(double value);
// "45 s", "3 min 20 s", "2 h 05 min", "4 d 03 h".
std::string short_duration(double seconds);
// "812 MB", "1.24 GB" (powers of ten).
std::string short_bytes(double bytes);

struct ProgressState {
  std::string what;
  int64_t done = 0;
  int64_t total = 0;           // 0: unknown
  double elapsed_seconds = 0;  // of this process, so a resumed run counts from where it resumed
  int64_t done_at_start = 0;
  ProgressFields fields = {};

  // Seconds left at this run's mean speed; negative when it cannot be known yet.
  double seconds_left() const;
};

// "train ━━━━━╸      42 %  1,260/3,000  loss 2.313  tokens/s 41.2k  1.2 GB  ETA 3 min 20 s", at most `width`
// columns: the bar gives way first, then the fields from the last one on.
std::string progress_bar(const ProgressState& state, int width);
// The same facts as one line without a bar.
std::string progress_line(const ProgressState& state);

struct ProgressOptions {
  std::FILE* file = stderr;
  double redraw_seconds = 0.1;  // terminal
  double line_seconds = 10;     // elsewhere
};

// Every drawing is a single write that begins with \r and erases the rest of its line, and the cursor is
// never hidden, so stopping the process at any instant leaves a usable terminal. Not for several threads at
// once.
class Progress {
 public:
  Progress(std::string what, int64_t total, int64_t done_at_start = 0, ProgressOptions options = {});
  // Ends an open bar's line, so that an error message starts on a line of its own.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(int64_t done, ProgressFields fields = {});
  // Whether update() would show something now: lets a caller spare the reading of a loss from a device.
  bool is_due() const;
  // Prints a line above the bar.
  void note(const std::string& line);
  // Shows the last state and ends the line; further calls do nothing.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void show();
  void write(const std::string& text);

  ProgressState state_;
  ProgressOptions options_;
  bool terminal_;
  bool open_ = false;  // a bar stands on the current line
  bool finished_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_{};  // never shown: the first update is always due
};

}  // namespace formwork
