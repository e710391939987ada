#pragma once
/// What a rank did when, for a picture of it (train/trace_file.hpp).

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <string_view>
#include <vector>

#include <terse/device/cpu.hpp>

namespace terse::dist {

/// What runs beside each other on a rank: its ops, and its sums over ranks.
enum class Lane : unsigned char { ops, sums };
inline constexpr std::size_t lane_count = 2;

/// One thing that was done.
struct Span {
  const char* name = "";      ///< a literal
  Lane lane = Lane::ops;
  double begin = 0, end = 0;  ///< seconds of the machine's steady clock
  std::size_t bytes = 0;      ///< that were summed; 0: none
};

inline double steady_seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Takes the times of a device's work; an unfinished one is not in it.
template <class Device>
class Trace;

/// The CPU's work is done when it returns, so its times are the clock's. Each lane is one thread's.
template <>
class Trace<Cpu> {
 public:
  using Mark = double;

  /// Room for so many spans of each lane, taken now; more are left out.
  Trace(Cpu&, std::size_t most_spans) {
    for (auto& lane : spans_) lane.reserve(most_spans);
  }

  /// This moment in a lane's work.
  Mark now(Lane) const { return steady_seconds(); }
  /// A span that ends now.
  void add(const char* name, Lane lane, Mark begin, std::size_t bytes = 0) {
    auto& spans = spans_[static_cast<std::size_t>(lane)];
    if (spans.size() < spans.capacity()) spans.push_back({name, lane, begin, now(lane), bytes});
  }
  /// All so far, while nothing runs.
  std::vector<Span> spans() const {
    auto all = spans_[0];
    all.insert(all.end(), spans_[1].begin(), spans_[1].end());
    return all;
  }

 private:
  std::array<std::vector<Span>, lane_count> spans_;
};

/// How much of the time that sums took, 0 to 1, passed while one of the ops named `name` ran; 1 where there were none. Spans of one lane don't overlap.
inline double share_of_sums_behind(const char* name, const std::vector<Span>& spans) {
  double total = 0, behind = 0;
  for (const Span& sum : spans) {
    if (sum.lane != Lane::sums) continue;
    total += sum.end - sum.begin;
    for (const Span& op : spans)
      if (op.lane == Lane::ops && std::string_view(op.name) == name) behind += std::max(0.0, std::min(sum.end, op.end) - std::max(sum.begin, op.begin));
  }
  return total > 0 ? behind / total : 1;
}

}  // namespace terse::dist
