#pragma once
/// Three kinds of plots, as SVG inside a page: lines over steps, intervals, a stacked bar.
///
/// Places are percentages and lengths of text pixels, so a plot fills the width it is given and its text stays readable on a phone.
/// Each has a title and a description for those who don't see it, and says the value of what is pointed at.

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/train/report/html.hpp>
#include <terse/train/report/scale.hpp>

namespace terse::train::report {

struct Series {
  std::string name, style;    ///< `style`: a class of the style sheet
  std::vector<Point> points;  ///< in the order of x
  bool marked = false;        ///< a dot at each point
};

/// Lines over steps.
struct LinePlot {
  std::string id, title, value;    ///< `id`: unique in the page; `value`: what y is
  std::vector<Series> series;      ///< the first is what a reader points at
  std::vector<double> events;      ///< steps to be ticked below the lines
  std::string event;               ///< what they are
  bool may_be_logarithmic = true;  ///< where values span powers of ten
};

namespace detail {

inline constexpr std::size_t most_points = 1000, most_readings = 120;

inline std::string percent(double fraction) { return number(std::round(fraction * 1e4) / 1e2) + "%"; }

/// An svg that is read aloud as its title and description.
template <class Body>
void figure(Html& html, const std::string& id, int height, const std::string& title, const std::string& description, Body&& body) {
  html.element("svg", {{"class", "plot"}, {"width", "100%"}, {"height", std::to_string(height)}, {"role", "img"}, {"aria-labelledby", id + "-title " + id + "-desc"}}, [&] {
    html.element("title", {{"id", id + "-title"}}, title);
    html.element("desc", {{"id", id + "-desc"}}, description);
    body();
  });
}

inline void line(Html& html, const char* style, double x1, double y1, double x2, double y2) {
  html.element("line", {{"class", style}, {"x1", percent(x1)}, {"y1", percent(y1)}, {"x2", percent(x2)}, {"y2", percent(y2)}});
}

/// The points as a path in a box of 1000 x 1000; alone between gaps, one is a dot.
inline std::string path(std::span<const Point> points, const Axis& x, const Axis& y) {
  std::string data;
  bool joined = false, alone = false;
  const auto end_line = [&] {
    if (alone) data += "h0";
    joined = alone = false;
  };
  for (const Point& point : points) {
    if (!std::isfinite(point.y)) {
      end_line();
      continue;
    }
    const auto place = [](double fraction) { return number(std::round(fraction * 1e4) / 10, 6); };
    std::string at = place(x.at(point.x)) + " " + place(1 - y.at(point.y));
    std::erase(at, ',');
    data += (joined ? "L" : "M") + at;
    alone = !joined, joined = true;
  }
  end_line();
  return data;
}

/// The lowest and highest finite value of all series.
inline std::pair<double, double> range(std::span<const Series> all) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const auto& series : all)
    for (const Point& point : series.points)
      if (std::isfinite(point.y)) low = std::min(low, point.y), high = std::max(high, point.y);
  return {low, high};
}

inline std::string in_words(const LinePlot& plot) {
  std::string words;
  for (const auto& series : plot.series) {
    const Point *first = nullptr, *last = nullptr, *lowest = nullptr;
    for (const Point& point : series.points) {
      if (!std::isfinite(point.y)) continue;
      if (first == nullptr) first = &point;
      if (lowest == nullptr || point.y < lowest->y) lowest = &point;
      last = &point;
    }
    if (first == nullptr) continue;
    words += concat(words.empty() ? "" : " ", series.name, ": ", number(first->y, 4), " at step ", number(first->x), ", ", number(last->y, 4), " at step ", number(last->x),
                    "; lowest ", number(lowest->y, 4), " at step ", number(lowest->x), ".");
  }
  return words;
}

/// What each series says between two steps: shown while the pointer is there.
inline void reading(Html& html, const LinePlot& plot, const Axis& x, const Axis& y, double from, double to) {
  const double middle = (from + to) / 2;
  std::vector<Point> found;
  std::string words;
  for (const auto& series : plot.series) {
    const auto begin = std::lower_bound(series.points.begin(), series.points.end(), from, [](const Point& p, double value) { return p.x < value; });
    const Point* nearest = nullptr;
    for (auto point = begin; point != series.points.end() && point->x <= to; ++point)
      if (nearest == nullptr || std::abs(point->x - middle) < std::abs(nearest->x - middle)) nearest = &*point;
    if (nearest == nullptr) continue;
    if (words.empty()) words = "step " + number(nearest->x);
    words += " \xC2\xB7 " + series.name + " " + number(nearest->y, 4);
    if (std::isfinite(nearest->y)) found.push_back(*nearest);
  }
  if (words.empty()) return;
  const double left = std::max(0.0, x.at(from)), right = std::min(1.0, x.at(to));
  html.element("g", {{"class", "reading"}}, [&] {
    html.element("rect", {{"x", percent(left)}, {"y", "0"}, {"width", percent(right - left)}, {"height", "100%"}});
    for (const Point& point : found) html.element("circle", {{"cx", percent(x.at(point.x))}, {"cy", percent(1 - y.at(point.y))}, {"r", "4"}});
    html.element("text", {{"x", "100%"}, {"y", "-9"}, {"text-anchor", "end"}}, words);
    html.element("title", {}, words);
  });
}

inline void axes(Html& html, const Axis& x, const Axis& y) {
  for (const double tick : y.ticks) {
    line(html, "grid", 0, 1 - y.at(tick), 1, 1 - y.at(tick));
    html.element("text", {{"class", "tick"}, {"x", "-8"}, {"y", percent(1 - y.at(tick))}, {"dy", "0.32em"}, {"text-anchor", "end"}}, number(tick));
  }
  for (const double tick : x.ticks) {
    line(html, "grid", x.at(tick), 1, x.at(tick), 1.02);
    html.element("text", {{"class", "tick"}, {"x", percent(x.at(tick))}, {"y", "100%"}, {"dy", "18"}, {"text-anchor", "middle"}}, number(tick));
  }
}

}  // namespace detail

/// False where no value is finite: there is nothing to draw.
inline bool has_values(const LinePlot& plot) {
  const auto [low, high] = detail::range(plot.series);
  return low <= high;
}

/// Requires   has_values(plot)
inline void draw(Html& html, const LinePlot& plot) {
  using namespace detail;
  const auto [low, high] = range(plot.series);
  double first = std::numeric_limits<double>::infinity(), last = -first;
  for (const auto& series : plot.series)
    if (!series.points.empty()) first = std::min(first, series.points.front().x), last = std::max(last, series.points.back().x);
  const Axis x = Axis::of_steps(first, last), y = Axis::of_values(low, high, plot.may_be_logarithmic);
  html.element("figure", {{"class", "chart"}}, [&] {
    html.element("figcaption", {}, [&] {
      html.element("h3", {}, plot.title);
      html.element("ul", {{"class", "legend"}}, [&] {
        if (plot.series.size() > 1)
          for (const auto& series : plot.series) html.element("li", {{"class", series.style + (series.marked ? " marked" : "")}}, series.name);
        if (!plot.events.empty()) html.element("li", {{"class", "event"}}, plot.event);
      });
    });
    html.element("div", {{"class", "frame"}}, [&] {
      figure(html, plot.id, 220, plot.title, in_words(plot), [&] {
        axes(html, x, y);
        html.element("text", {{"class", "unit"}, {"x", "-52"}, {"y", "-16"}}, plot.value + (y.logarithmic ? ", logarithmic" : ""));
        html.element("text", {{"class", "unit"}, {"x", "100%"}, {"y", "100%"}, {"dy", "36"}, {"text-anchor", "end"}}, "step");
        std::string last_place;
        for (const double event : plot.events)
          if (const auto place = percent(std::round(x.at(event) * 500) / 500); place != last_place)
            html.element("line", {{"class", "event"}, {"x1", last_place = place}, {"x2", place}, {"y1", "96%"}, {"y2", "100%"}});
        html.element("svg", {{"viewBox", "0 0 1000 1000"}, {"width", "100%"}, {"height", "100%"}, {"preserveAspectRatio", "none"}, {"overflow", "visible"}}, [&] {
          for (const auto& series : plot.series)
            html.element("path", {{"class", series.style}, {"d", path(downsample(series.points, most_points), x, y)}});
        });
        for (const auto& series : plot.series)
          if (series.marked)
            for (const Point& point : downsample(series.points, most_points / 5))
              if (std::isfinite(point.y)) html.element("circle", {{"class", series.style}, {"cx", percent(x.at(point.x))}, {"cy", percent(1 - y.at(point.y))}, {"r", "3.5"}});
        const std::size_t readings = std::clamp<std::size_t>(plot.series.front().points.size(), 1, most_readings);
        const double width = (x.high - x.low) / static_cast<double>(std::max<std::size_t>(readings - 1, 1));
        for (std::size_t r = 0; r < readings; ++r) {
          const double middle = readings == 1 ? first : x.low + static_cast<double>(r) * width;
          reading(html, plot, x, y, middle - width / 2, middle + width / 2);
        }
      });
    });
  });
}

/// A value with its interval, beside a baseline.
struct IntervalRow {
  std::string name;
  double value, low, high, baseline;
};

struct IntervalPlot {
  std::string id, title, baseline_name;
  std::vector<IntervalRow> rows;  ///< all between 0 and 1
};

inline void draw(Html& html, const IntervalPlot& plot) {
  using namespace detail;
  double highest = 0.05;
  std::string words;
  for (const auto& row : plot.rows) {
    highest = std::max({highest, row.high, row.value, std::isfinite(row.baseline) ? row.baseline : 0.0});
    words += concat(row.name, ": ", number(row.value, 4), ", ", plot.baseline_name, " ", number(row.baseline, 4), ". ");
  }
  Axis x{0, highest, false, round_ticks(0, highest, 5)};
  x.high = x.ticks.back();
  const auto rows = static_cast<double>(plot.rows.size());
  html.element("div", {{"class", "frame rows"}}, [&] {
    figure(html, plot.id, 40 * static_cast<int>(plot.rows.size()), plot.title, words, [&] {
      for (const double tick : x.ticks) {
        line(html, "grid", x.at(tick), 0, x.at(tick), 1);
        html.element("text", {{"class", "tick"}, {"x", percent(x.at(tick))}, {"y", "100%"}, {"dy", "18"}, {"text-anchor", "middle"}}, number(tick));
      }
      for (std::size_t r = 0; r < plot.rows.size(); ++r) {
        const auto& row = plot.rows[r];
        const double middle = (static_cast<double>(r) + 0.5) / rows;
        html.element("g", {{"class", "interval"}}, [&] {
          html.element("title", {}, concat(row.name, " ", number(row.value, 4), ", 95% interval ", number(row.low, 4), " to ", number(row.high, 4), "; ", plot.baseline_name, " ", number(row.baseline, 4)));
          html.element("text", {{"class", "name"}, {"x", "-10"}, {"y", percent(middle)}, {"dy", "0.32em"}, {"text-anchor", "end"}}, row.name);
          line(html, "whisker", x.at(row.low), middle, x.at(row.high), middle);
          if (std::isfinite(row.baseline)) line(html, "baseline", x.at(row.baseline), middle - 0.26 / rows, x.at(row.baseline), middle + 0.26 / rows);
          html.element("circle", {{"class", "value"}, {"cx", percent(x.at(row.value))}, {"cy", percent(middle)}, {"r", "5"}});
        });
      }
    });
  });
}

/// Parts of a whole.
struct BarPart {
  std::string name, words;  ///< `words`: the size as it is read
  double size = 0;
};

struct StackedBar {
  std::string id, title;
  std::vector<BarPart> parts;  ///< in the order of the colours part-1, part-2, …
};

/// Parts of no size are left out. Nothing where all are.
inline void draw(Html& html, const StackedBar& bar) {
  using namespace detail;
  double total = 0;
  std::string words;
  for (const auto& part : bar.parts) {
    total += std::max(part.size, 0.0);
    if (part.size > 0) words += concat(words.empty() ? "" : ", ", part.name, " ", part.words);
  }
  if (!(total > 0) || !std::isfinite(total)) return;
  const auto style = [](std::size_t i) { return concat("part-", i % 8 + 1); };
  figure(html, bar.id, 32, bar.title, words, [&] {
    double from = 0;
    for (std::size_t i = 0; i < bar.parts.size(); ++i) {
      const auto& part = bar.parts[i];
      if (!(part.size > 0)) continue;
      html.element("rect", {{"class", style(i)}, {"x", percent(from / total)}, {"y", "0"}, {"width", percent(part.size / total)}, {"height", "100%"}},
                   [&] { html.element("title", {}, concat(part.name, ": ", part.words, ", ", number(100 * part.size / total, 3), "%")); });
      from += part.size;
    }
  });
  html.element("ul", {{"class", "parts"}}, [&] {
    for (std::size_t i = 0; i < bar.parts.size(); ++i) {
      const auto& part = bar.parts[i];
      if (!(part.size > 0)) continue;
      html.element("li", {{"class", style(i)}}, [&] {
        html.element("span", {}, part.name);
        html.element("span", {{"class", "size"}}, part.words);
        html.element("span", {{"class", "share"}}, concat(std::fixed, std::setprecision(1), 100 * part.size / total, "%"));
      });
    }
  });
}

}  // namespace terse::train::report
