// Round ticks, numbers in words, and downsampling that loses no peak.
#include <terse/train/report/svg.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/catch.hpp"

using namespace terse::train::report;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

std::vector<double> rounded(std::vector<double> ticks) {
  for (double& tick : ticks) tick = std::stod(number(tick).find(',') == std::string::npos ? number(tick) : "0");
  return ticks;
}

}  // namespace

TEST_CASE("numbers as they are read") {
  CHECK(number(12000) == "12,000");
  CHECK(number(1234567) == "1,234,567");
  CHECK(number(-54321.5) == "-54,321.5");
  CHECK(number(2048) == "2048");
  CHECK(number(0.1 + 0.2) == "0.3");
  CHECK(number(3e-5) == "3e-5");
  CHECK(number(1e12) == "1e12");
  CHECK(number(-0.0) == "0");
  CHECK(number(2.34567, 4) == "2.346");
  CHECK(number(nan_value) == "not finite");
}

TEST_CASE("ticks are round and embrace the values") {
  CHECK(rounded(round_ticks(0, 10, 5)) == std::vector<double>{0, 2, 4, 6, 8, 10});
  CHECK(rounded(round_ticks(2.1, 10.9, 6)) == std::vector<double>{2, 4, 6, 8, 10, 12});
  CHECK(rounded(round_ticks(0, 3e-4, 6)) == std::vector<double>{0, 5e-5, 1e-4, 1.5e-4, 2e-4, 2.5e-4, 3e-4});
  CHECK(rounded(round_ticks(-1, 1, 4)) == std::vector<double>{-1, -0.5, 0, 0.5, 1});
  CHECK(rounded(round_ticks(1, 3, 6, true)) == std::vector<double>{1, 2, 3});
  CHECK(round_ticks(7, 7, 5) == std::vector<double>{7});
  for (const auto& [low, high] : {std::pair{1e-12, 3.3e-12}, {-7e20, 1e21}, {99.99, 100.01}, {0.0, 1e-300}, {1.0, 1 + 1e-9}})
    for (const int most : {2, 5, 6}) {
      CAPTURE(low, high, most);
      const auto ticks = round_ticks(low, high, most);
      CHECK(ticks.size() <= static_cast<std::size_t>(most) + 1);
      CHECK(ticks.size() >= 2);
      const double slack = 1e-6 * (high - low);
      CHECK((ticks.front() <= low + slack && ticks.back() >= high - slack));
    }
  CHECK(rounded(logarithmic_ticks(0.3, 40, 8)) == std::vector<double>{0.2, 0.5, 1, 2, 5, 10, 20, 50});
  CHECK(rounded(logarithmic_ticks(0.3, 400, 6)) == std::vector<double>{0.1, 1, 10, 100, 1000});
  for (const auto& [low, high] : {std::pair{1e-30, 1e30}, {1.0, 1e300}, {2.0, 4000.0}}) {
    const auto ticks = logarithmic_ticks(low, high, 6);
    CHECK((ticks.size() >= 2 && ticks.size() <= 8 && ticks.front() <= low * 1.001 && ticks.back() >= high * 0.999));
  }
}

TEST_CASE("an axis puts its ends at the ends") {
  const Axis linear = Axis::of_values(2.1, 10.9, true);
  CHECK_FALSE(linear.logarithmic);
  CHECK(linear.at(2) == Approx(0));
  CHECK(linear.at(12) == Approx(1));
  const Axis decades = Axis::of_values(0.02, 5000, true);
  CHECK(decades.logarithmic);
  CHECK(decades.at(decades.high) == Approx(1));
  CHECK_FALSE(Axis::of_values(0.02, 5000, false).logarithmic);
  CHECK(Axis::of_values(3, 3, true).at(3) == Approx(0.5).margin(0.2));
  CHECK(Axis::of_steps(1, 1).at(1) == 0.5);
  CHECK(rounded(Axis::of_steps(1, 500).ticks) == std::vector<double>{100, 200, 300, 400, 500});
}

TEST_CASE("downsampling keeps ends, peaks and gaps") {
  std::vector<Point> points;
  for (int i = 0; i < 100000; ++i) points.push_back({static_cast<double>(i), std::sin(i * 0.001)});
  points[12345].y = 50, points[77777].y = -50;
  for (std::size_t i = 30000; i < 31000; ++i) points[i].y = nan_value;
  points[5].y = nan_value;
  const auto few = downsample(points, 1000);
  CHECK(few.size() <= 1000);
  CHECK(few.size() > 900);
  CHECK((few.front().x == 0 && few.back().x == 99999));
  CHECK(std::is_sorted(few.begin(), few.end(), [](const Point& a, const Point& b) { return a.x < b.x; }));
  const auto holds = [&](double x, double y) { return std::any_of(few.begin(), few.end(), [&](const Point& p) { return p.x == x && p.y == y; }); };
  CHECK(holds(12345, 50));
  CHECK(holds(77777, -50));
  CHECK(std::count_if(few.begin(), few.end(), [](const Point& p) { return std::isnan(p.y); }) >= 3);
  CHECK(downsample(std::span(points).first(999), 1000).size() == 999);
  CHECK(downsample({}, 1000).empty());
}

TEST_CASE("a running mean looks both ways and over gaps") {
  const std::vector<Point> points{{1, 3}, {2, 6}, {3, nan_value}, {4, 12}, {5, 0}};
  const auto means = running_mean(points, 1);
  REQUIRE(means.size() == 5);
  CHECK(means[0].y == 4.5);
  CHECK(means[1].y == 4.5);
  CHECK(std::isnan(means[2].y));
  CHECK(means[3].y == 6);
  CHECK(means[4].y == 6);
}

TEST_CASE("a line breaks at a gap, and a point alone is a dot") {
  const Axis unit{0, 1, false, {}};
  const std::vector<Point> points{{0, 0}, {0.1, 1}, {0.2, nan_value}, {0.5, 0.5}, {0.6, nan_value}, {1, 0.25}};
  CHECK(detail::path(points, unit, unit) == "M0 1000L100 0M500 500h0M1000 750h0");
}
