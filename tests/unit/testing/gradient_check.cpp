#include <terse/testing/gradient_check.hpp>

#include <terse/nn/norm.hpp>

#include "support/catch.hpp"
#include "support/messages.hpp"

using namespace terse;
using testing::check_gradient;

namespace {

double sum_of_cubes(const std::vector<double>& x) {
  double total = 0;
  for (const double value : x) total += value * value * value;
  return total;
}

std::vector<double> slopes(const std::vector<double>& x) {
  std::vector<double> result;
  for (const double value : x) result.push_back(3 * value * value);
  return result;
}

}  // namespace

TEST_CASE("a right gradient agrees, and the values are as before") {
  std::vector<double> x{0.5, -2, 3, 1e3};
  const auto before = x;
  const auto difference = check_gradient("x", x, slopes(x), [&] { return sum_of_cubes(x); });
  CHECK(difference.agrees());
  CHECK(difference.values == 4);
  CHECK(x == before);
}

TEST_CASE("a wrong element is named") {
  std::vector<double> x{0.5, -2, 3, 4};
  auto gradient = slopes(x);
  gradient[2] *= 1.001;
  const std::vector differences{check_gradient("y", x, slopes(x), [&] { return sum_of_cubes(x); }), check_gradient("x", x, gradient, [&] { return sum_of_cubes(x); })};
  CHECK(differences[0].agrees());
  CHECK_FALSE(differences[1].agrees());
  CHECK(differences[1].worst == 2);
  CHECK_FALSE(testing::all_agree(differences));
  const auto report = testing::report(differences);
  CHECK(report.rfind("x: relative error 0.0004", 0) == 0);
  CHECK(contains(report, "worst at [2]: gradient 27.027, finite difference 27"));
  CHECK(testing::report(std::span(differences).first(1)) == "every gradient agrees");
}

namespace {

/// y = x * gain * |x|, with mistakes to be found: dx is too large by some thousandths, or added to.
template <int thousandths = 0, bool overwrites = true>
struct Bent {
  Vector<double, 3> gain;

  constexpr void parameters(auto&& visit) { visit("gain", gain); }
  struct Saved {
    Column<double> norm;
    constexpr void each(auto&& visit, Extent extent) { visit(norm, extent.tokens); }
  };
  void forward(Cpu&, Rows<double, 3> x, Rows<double, 3> y, const Saved& saved) const {
    for (Index t = 0; t < x.rows; ++t) {
      saved.norm[t] = std::sqrt(x[t][0] * x[t][0] + x[t][1] * x[t][1] + x[t][2] * x[t][2]);
      for (Index c = 0; c < 3; ++c) y[t][c] = x[t][c] * gain[c] * saved.norm[t];
    }
  }
  void backward(Cpu&, Rows<double, 3> x, const Saved& saved, Rows<double, 3> dy, Rows<double, 3> dx, Bent& gradient) const {
    for (Index t = 0; t < x.rows; ++t) {
      double along = 0;
      for (Index c = 0; c < 3; ++c) along += dy[t][c] * gain[c] * x[t][c], gradient.gain[c] += dy[t][c] * x[t][c] * saved.norm[t];
      for (Index c = 0; c < 3; ++c) {
        const double value = (1 + thousandths / 1000.0) * (dy[t][c] * gain[c] * saved.norm[t] + along * x[t][c] / saved.norm[t]);
        dx[t][c] = overwrites ? value : dx[t][c] + value;
      }
    }
  }
};

}  // namespace

TEST_CASE("a whole layer: parameters and input; a slip of a thousandth is found, and a dx that is added to") {
  Cpu cpu(1);
  const auto right = testing::check_layer<Bent<>, 3>(cpu, 4);
  REQUIRE(right.size() == 2);
  CHECK(right[0].name == "gain");
  CHECK(right[1].name == "x");
  CHECK(right[1].values == 12);
  CHECK(testing::all_agree(right));
  const auto wrong = testing::check_layer<Bent<1>, 3>(cpu, 4);
  CHECK(wrong[0].agrees());
  CHECK_FALSE(wrong[1].agrees());
  CHECK_FALSE(testing::all_agree(testing::check_layer<Bent<0, false>, 3>(cpu, 4)));
}

TEST_CASE("a gradient that is zero agrees with zero only; NaN with nothing") {
  std::vector<double> x{0.5, -2};
  const std::vector<double> zero{0, 0}, not_zero{0, 1e-3}, nan{0, std::nan("")};
  const auto constant = [] { return 3.14; };
  CHECK(check_gradient("x", x, zero, constant).agrees());
  CHECK_FALSE(check_gradient("x", x, not_zero, constant).agrees());
  const auto difference = check_gradient("x", x, nan, constant);
  CHECK_FALSE(difference.agrees());
  CHECK(difference.worst == 1);
  CHECK_FALSE(check_gradient("x", x, zero, [] { return std::nan(""); }).agrees());
}

TEST_CASE("a part of the values, evenly spaced; sizes that differ") {
  std::vector<double> x(1000, 0.5);
  const auto difference = check_gradient("x", x, slopes(x), [&] { return sum_of_cubes(x); }, {.most_values = 10});
  CHECK(difference.values == 10);
  CHECK(difference.agrees());
  CHECK_THROWS_WITH(check_gradient("x", x, std::vector<double>(3), [] { return 0.0; }), "gradient check of x: 1000 values, but a gradient of 3");
}

TEST_CASE("all parameters of a layer, by name") {
  double weight[3] = {1, 2, 3}, bias[3] = {0, 1, 0}, dweight[3] = {2, 2, 2}, dbias[3] = {5, 0, 0};
  nn::LayerNorm<double, 3> layer{{weight}, {bias}}, gradient{{dweight}, {dbias}};
  const auto loss = [&] { return 2 * (weight[0] + weight[1] + weight[2]) + 4 * bias[0]; };
  const auto differences = testing::check_parameters(layer, gradient, loss);
  REQUIRE(differences.size() == 2);
  CHECK(differences[0].name == "weight");
  CHECK(differences[0].agrees());
  CHECK(differences[1].name == "bias");
  CHECK_FALSE(differences[1].agrees());
}
