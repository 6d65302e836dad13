#include "formwork/report/progress.h"

#include <unistd.h>

#include <cmath>
#include <fstream>

#include "formwork/report/width.h"

namespace formwork {
namespace {

constexpr int kNarrowestBar = 8, kWidestBar = 40;

// Three significant digits: 9.99 and 99.9 and 999.
std::string three_digits(double value) {
  const double size = std::abs(value);
  return fmt::format("{:.{}f}", value, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

std::string grouped(int64_t value) {
  std::string text = std::to_string(value);
  const auto first = static_cast<ptrdiff_t>(value < 0 ? 1 : 0);
  for (auto at = static_cast<ptrdiff_t>(text.size()) - 3; at > first; at -= 3) {
    text.insert(static_cast<size_t>(at), ",");
  }
  return text;
}

double fraction_of(const ProgressState& state) {
  return std::clamp(static_cast<double>(state.done) / static_cast<double>(state.total), 0.0, 1.0);
}

std::string bar_of(double fraction, int width) {
  const int halves = static_cast<int>(std::floor(fraction * width * 2));
  std::string bar;
  for (int i = 0; i < width; ++i) bar += 2 * i + 1 < halves ? "━" : 2 * i < halves ? "╸" : " ";
  return bar;
}

// What stands behind the bar, most important first.
std::vector<std::string> facts_of(const ProgressState& state) {
  std::vector<std::string> facts;
  if (state.total > 0) {
    facts.push_back(fmt::format("{:.0f} %", std::floor(100 * fraction_of(state))));
    facts.push_back(grouped(state.done) + "/" + grouped(state.total));
  } else {
    facts.push_back(grouped(state.done));
  }
  const double left = state.seconds_left();
  if (left >= 0) facts.push_back("ETA " + short_duration(left));
  for (const auto& [name, value] : state.fields) facts.push_back(printable_text(name + " " + value));
  if (const int64_t memory = resident_bytes(); memory > 0) {
    facts.push_back(short_bytes(static_cast<double>(memory)));
  }
  return facts;
}

std::string joined(const std::vector<std::string>& facts) {
  return fmt::format("{}", fmt::join(facts, "  "));
}

}  // namespace

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  return file >> total >> resident ? resident * sysconf(_SC_PAGESIZE) : 0;
}

std::string short_number(double value) {
  if (!std::isfinite(value)) return fmt::format("{}", value);
  const double size = std::abs(value);
  if (size < 999.5) return size == std::floor(size) ? fmt::format("{:.0f}", value) : three_digits(value);
  if (size < 999.5e3) return three_digits(value / 1e3) + "k";
  if (size < 999.5e6) return three_digits(value / 1e6) + "M";
  return three_digits(value / 1e9) + "G";
}

std::string short_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds > 1e12) return "-";
  const auto whole = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} d {:02} h", whole / 86400, whole % 86400 / 3600);
}

std::string short_bytes(double bytes) {
  if (bytes < 999.5) return fmt::format("{:.0f} B", bytes);
  if (bytes < 999.5e3) return three_digits(bytes / 1e3) + " kB";
  if (bytes < 999.5e6) return three_digits(bytes / 1e6) + " MB";
  return three_digits(bytes / 1e9) + " GB";
}

double ProgressState::seconds_left() const {
  const int64_t moved = done - done_at_start;
  if (total <= 0 || moved <= 0) return -1;
  return elapsed_seconds / static_cast<double>(moved) *
         static_cast<double>(std::max<int64_t>(0, total - done));
}

std::string progress_bar(const ProgressState& state, int width) {
  const std::string what = printable_text(state.what);
  std::vector<std::string> facts = facts_of(state);
  const auto text_width = [&] { return display_width(what) + 2 + display_width(joined(facts)); };
  while (facts.size() > 1 && text_width() > width) facts.pop_back();
  const int room = width - text_width() - 1;
  if (state.total <= 0 || room < kNarrowestBar) return fit_width(what + "  " + joined(facts), width);
  return what + " " + bar_of(fraction_of(state), std::min(room, kWidestBar)) + "  " + joined(facts);
}

std::string progress_line(const ProgressState& state) {
  return printable_text(state.what) + "  " + joined(facts_of(state));
}

Progress::Progress(std::string what, int64_t total, int64_t done_at_start, ProgressOptions options)
    : options_(options), terminal_(is_terminal(options.file)) {
  state_.what = std::move(what);
  state_.total = total;
  state_.done = state_.done_at_start = done_at_start;
}

Progress::~Progress() {
  if (open_) write("\n");
}

bool Progress::is_due() const {
  const double interval = terminal_ ? options_.redraw_seconds : options_.line_seconds;
  const bool first = shown_ == Clock::time_point{};
  return first || std::chrono::duration<double>(Clock::now() - shown_).count() >= interval;
}

void Progress::update(int64_t done, ProgressFields fields) {
  if (finished_) return;
  state_.done = done;
  if (!fields.empty()) state_.fields = std::move(fields);
  if (is_due()) show();
}

void Progress::note(const std::string& line) {
  write((open_ ? "\r\x1b[K" : "") + line + "\n");
  if (open_) show();
}

void Progress::finish() {
  if (finished_) return;
  show();
  if (open_) write("\n");
  open_ = false;
  finished_ = true;
}

void Progress::show() {
  shown_ = Clock::now();
  state_.elapsed_seconds = std::chrono::duration<double>(shown_ - start_).count();
  if (!terminal_) return write(progress_line(state_) + "\n");
  // The last column stays free: some terminals wrap as soon as it is written.
  write("\r" + progress_bar(state_, terminal_width(options_.file) - 1) + "\x1b[K");
  open_ = true;
}

void Progress::write(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), options_.file);
  std::fflush(options_.file);
}

}  // namespace formwork
