#pragma once
/// How far a long job is: a bar that redraws itself on a terminal, plain lines elsewhere.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iomanip>
#include <sstream>
#include <string>

namespace terse::train {

/// 95 -> "1:35", 7500 -> "2:05:00".
inline std::string clock_time(double seconds) {
  const auto whole = static_cast<long>(std::llround(std::max(0.0, seconds)));
  char text[32];
  if (whole >= 3600) std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  else std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

/// A number with `digits` after the point.
inline std::string fixed(double value, int digits) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << value;
  return out.str();
}

/// 2543886336 -> "2.37 GiB".
inline std::string byte_size(std::size_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) value /= 1024, ++unit;
  return fixed(value, unit == 0 ? 0 : 2) + " " + units[unit];
}

/// Writes to stderr. `total` things will be done; `update` after each, with what to say about it.
class Progress {
 public:
  /// Off a terminal a line is written every `line_every` things, and for the last. `first`: so many were done before.
  Progress(std::string what, long total, long line_every = 1, long first = 0)
      : what_(std::move(what)), total_(total), first_(first), line_every_(std::max(1L, line_every)), terminal_(isatty(STDERR_FILENO) != 0), start_(Clock::now()) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { finish(); }

  void update(long done, const std::string& details) {
    const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
    const std::string eta = "ETA " + clock_time(elapsed / static_cast<double>(std::max(1L, done - first_)) * static_cast<double>(total_ - done));
    if (terminal_) {
      if (done < total_ && std::chrono::duration<double>(Clock::now() - drawn_).count() < 0.1) return;
      drawn_ = Clock::now();
      constexpr long width = 24;
      const long filled = total_ > 0 ? width * done / total_ : width;
      const std::string bar = std::string(static_cast<std::size_t>(filled), '#') + std::string(static_cast<std::size_t>(width - filled), '.');
      std::fprintf(stderr, "\r\033[K%s [%s] %ld/%ld  %s  %s", what_.c_str(), bar.c_str(), done, total_, details.c_str(), eta.c_str());
      on_bar_line_ = true;
    } else if (done % line_every_ == 0 || done == total_) {
      std::fprintf(stderr, "%s %ld/%ld  %s  %s\n", what_.c_str(), done, total_, details.c_str(), eta.c_str());
    }
    std::fflush(stderr);
  }

  /// A line of its own, above the bar.
  void say(const std::string& line) {
    finish();
    std::fprintf(stderr, "%s\n", line.c_str());
  }

  void finish() {
    if (on_bar_line_) std::fputc('\n', stderr);
    on_bar_line_ = false;
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::string what_;
  long total_, first_, line_every_;
  bool terminal_, on_bar_line_ = false;
  Clock::time_point start_, drawn_{};
};

}  // namespace terse::train
