#pragma once
/// What a plot is drawn by: round ticks, numbers in words, and as many points as there are pixels.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace terse::train::report {

struct Point {
  double x = 0, y = 0;  ///< a `y` that isn't finite is a gap
};

/// 12000 -> "12,000", 0.00003 -> "3e-5", 2.50 -> "2.5"; `digits` significant ones.
inline std::string number(double value, int digits = 10) {
  if (!std::isfinite(value)) return "not finite";
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, value == 0 ? 0.0 : value);
  std::string result = text;
  if (const auto e = result.find('e'); e != std::string::npos) {  // 3e-05, 1e+06
    std::string exponent = result.substr(e + 1);
    const bool negative = exponent.front() == '-';
    exponent.erase(0, std::min(exponent.find_first_not_of("+-0"), exponent.size() - 1));
    return result.substr(0, e + 1) + (negative ? "-" : "") + exponent;
  }
  const auto whole = std::min(result.find('.'), result.size()), first = result.front() == '-' ? std::size_t{1} : std::size_t{0};
  if (whole - first > 4)
    for (std::size_t at = whole; at > first + 3;) result.insert(at -= 3, ",");
  return result;
}

/// At most `most` + 1 multiples of 1, 2 or 5 times a power of ten, the first not above `low` and the last not below `high`
/// (after P. Heckbert, Nice numbers for graph labels, Graphics Gems, 1990). `whole`: integers only.
inline std::vector<double> round_ticks(double low, double high, int most, bool whole = false) {
  const double span = high - low;
  if (!(span > 0) || !std::isfinite(span)) return {low};
  double step = 0;
  for (double power = std::pow(10.0, std::floor(std::log10(span / most)) - 1); step == 0; power *= 10) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double candidate = factor * power;
      if (whole && candidate < 0.999) continue;
      if (std::ceil(high / candidate - 1e-9) - std::floor(low / candidate + 1e-9) <= most) {
        step = candidate;
        break;
      }
    }
  }
  std::vector<double> ticks;
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  for (double n = first; n <= last + 0.5; ++n) ticks.push_back(n * step);
  return ticks;
}

/// 1, 2, 5 times powers of ten, or only the powers where those are many; the first not above `low`, the last not below `high`.
inline std::vector<double> logarithmic_ticks(double low, double high, int most) {
  const std::vector<std::vector<double>> choices{{1, 2, 5}, {1}};
  std::vector<double> ticks;
  for (const auto& factors : choices) {
    ticks.clear();
    for (double power = std::pow(10.0, std::floor(std::log10(low))); power <= high * 10; power *= 10)
      for (const double factor : factors) {
        const double tick = factor * power;
        if (tick <= low * (1 + 1e-9)) ticks.assign(1, tick);
        else if (ticks.empty() || ticks.back() < high * (1 - 1e-9)) ticks.push_back(tick);
      }
    if (static_cast<int>(ticks.size()) <= most + 1) return ticks;
  }
  const auto every = (ticks.size() + static_cast<std::size_t>(most) - 1) / static_cast<std::size_t>(most);  // decades, thinned out
  std::vector<double> few;
  for (std::size_t i = 0; i < ticks.size() + every - 1; i += every) few.push_back(i < ticks.size() ? ticks[i] : few.back() * std::pow(10.0, static_cast<double>(every)));
  return few;
}

/// From values to places between 0 and 1.
struct Axis {
  double low = 0, high = 1;
  bool logarithmic = false;
  std::vector<double> ticks;

  double at(double value) const {
    return logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  }

  /// For steps: whole numbers, from the first to the last.
  static Axis of_steps(double first, double last) {
    if (!(last > first)) return {first - 0.5, first + 0.5, false, {first}};
    Axis axis{first, last, false, {}};
    for (const double tick : round_ticks(first, last, 6, true))
      if (tick >= first && tick <= last) axis.ticks.push_back(tick);
    return axis;
  }

  /// For values: to the next round number at both ends; logarithmic, if it may be, where the largest is 100 times the smallest or more.
  static Axis of_values(double low, double high, bool may_be_logarithmic) {
    if (!(high > low)) {
      const double margin = low == 0 ? 1 : 0.1 * std::abs(low);
      low -= margin, high += margin;
    }
    const bool logarithmic = may_be_logarithmic && low > 0 && high / low >= 100;
    Axis axis{low, high, logarithmic, logarithmic ? logarithmic_ticks(low, high, 6) : round_ticks(low, high, 6)};
    if (axis.ticks.size() > 1) axis.low = axis.ticks.front(), axis.high = axis.ticks.back();
    return axis;
  }
};

/// At most `most` of the points, in order: the first, the last, and the lowest and highest of each stretch between them. A gap stays
/// one where a whole stretch has no finite value.
inline std::vector<Point> downsample(std::span<const Point> points, std::size_t most) {
  if (points.size() <= most || most < 4) return {points.begin(), points.end()};
  const std::size_t stretches = (most - 2) / 2, inner = points.size() - 2;
  std::vector<Point> few{points.front()};
  for (std::size_t s = 0; s < stretches; ++s) {
    const auto stretch = points.subspan(1 + s * inner / stretches, (s + 1) * inner / stretches - s * inner / stretches);
    const Point *lowest = nullptr, *highest = nullptr;
    for (const Point& point : stretch) {
      if (!std::isfinite(point.y)) continue;
      if (lowest == nullptr || point.y < lowest->y) lowest = &point;
      if (highest == nullptr || point.y > highest->y) highest = &point;
    }
    if (lowest == nullptr) {
      few.push_back(stretch.front());
      continue;
    }
    few.push_back(*std::min(lowest, highest));
    if (lowest != highest) few.push_back(*std::max(lowest, highest));
  }
  few.push_back(points.back());
  return few;
}

/// Mean of the finite values among each point and the `reach` before and after it; a gap where the point is one.
inline std::vector<Point> running_mean(std::span<const Point> points, std::size_t reach) {
  std::vector<Point> means(points.begin(), points.end());
  double sum = 0;
  std::size_t count = 0;
  const auto add = [&](double value) {
    if (std::isfinite(value)) sum += value, ++count;
  };
  for (std::size_t i = 0; i < std::min(reach, points.size()); ++i) add(points[i].y);
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (i + reach < points.size()) add(points[i + reach].y);
    if (i > reach && std::isfinite(points[i - reach - 1].y)) sum -= points[i - reach - 1].y, --count;
    if (std::isfinite(points[i].y)) means[i].y = sum / static_cast<double>(count);
  }
  return means;
}

}  // namespace terse::train::report
