#pragma once
/// Checks a backward pass against finite differences: for your own layers, in double.
///
///   d loss / d x[i]  ~  (loss(x[i] + h) - loss(x[i] - h)) / 2h        h = step * max(1, |x[i]|)
///
/// The layer is run in double (precision policy Fp64): in float the differences would hold 3 digits, in double they hold 9.
/// A dropout may be on: its random numbers depend on the place alone, so loss() gives the same value each time.
///
///   auto differences = testing::check_parameters(layer, gradient, [&] { return loss_of(layer); });
///   differences.push_back(testing::check_gradient("x", x, dx, [&] { return loss_of(layer); }));
///   if (!testing::all_agree(differences)) std::cerr << testing::report(differences);

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/philox.hpp>
#include <terse/core/precision.hpp>
#include <terse/core/shape.hpp>
#include <terse/nn/module.hpp>
#include <terse/tensor/tensor.hpp>

namespace terse::testing {

/// How closely to look.
struct GradientCheck {
  double step = 1e-5;       ///< where truncation (step²) and rounding (1e-16 / step) are both small
  double tolerance = 1e-7;  ///< relative L2 error of a tensor that still counts as equal
  Index most_values = 0;    ///< values looked at in one tensor, evenly spaced; 0: all
};

/// What the check of one tensor found. Norms are L2, over the values looked at.
struct GradientDifference {
  std::string name;
  Index values = 0;            ///< how many were looked at
  double norm = 0;             ///< of the finite differences
  double error = 0;            ///< of analytic - finite difference
  double rounding = 0;         ///< the part of `error` that the loss's own rounding can explain
  double tolerance = 0;
  Index worst = 0;             ///< index of the value that is furthest off
  double analytic = 0, finite_difference = 0;  ///< at `worst`

  /// error / norm; the error itself where the norm is 0.
  double relative_error() const { return norm > 0 ? error / norm : error; }
  /// Never for NaN.
  bool agrees() const { return error <= tolerance * norm + rounding; }
};

/// Compares `gradient`, the analytic gradient of loss() with respect to `values`, with finite differences.
/// loss() is called twice for each value looked at, and reads `values`, which are as before afterwards.
/// Errors     Failure::internal: the sizes differ
template <class Loss>
GradientDifference check_gradient(std::string_view name, std::span<double> values, std::span<const double> gradient, Loss&& loss, GradientCheck check = {}) {
  if (values.size() != gradient.size()) fail(Failure::internal, "gradient check of ", name, ": ", values.size(), " values, but a gradient of ", gradient.size());
  GradientDifference result{.name = std::string(name), .tolerance = check.tolerance};
  const auto count = static_cast<Index>(values.size());
  const Index stride = check.most_values > 0 ? std::max<Index>(1, count / check.most_values) : 1;
  double squares = 0, error_squares = 0, largest_loss = 0, worst = -1;
  for (Index i = 0; i < count; i += stride, ++result.values) {
    const auto at = static_cast<std::size_t>(i);
    const double value = values[at], h = check.step * std::max(1.0, std::abs(value));
    values[at] = value + h;
    const double above = loss();
    values[at] = value - h;
    const double below = loss();
    values[at] = value;
    const double slope = (above - below) / ((value + h) - (value - h)), error = gradient[at] - slope;
    squares += slope * slope, error_squares += error * error;
    largest_loss = std::max({largest_loss, std::abs(above), std::abs(below)});
    if (!(std::abs(error) <= worst)) worst = std::abs(error), result.worst = i, result.analytic = gradient[at], result.finite_difference = slope;
  }
  result.norm = std::sqrt(squares), result.error = std::sqrt(error_squares);
  constexpr double ulps = 16;  // what a loss summed over some thousand terms is off by
  result.rounding = ulps * std::numeric_limits<double>::epsilon() * largest_loss / check.step * std::sqrt(static_cast<double>(result.values));
  return result;
}

/// All parameters of a layer (anything with the `parameters` walk of nn/parameters.hpp) against `gradient`, a layer of the same
/// type bound to the gradients. `gradient` must hold the gradient of loss() alone: clear it before backward.
template <class Layer, class Gradient, class Loss>
std::vector<GradientDifference> check_parameters(Layer& layer, Gradient& gradient, Loss&& loss, GradientCheck check = {}) {
  std::vector<const double*> gradients;
  nn::for_each_parameter(gradient, [&](const nn::ParameterName&, auto& view, const nn::ParameterTraits&) { gradients.push_back(view.data); });
  std::vector<GradientDifference> result;
  nn::for_each_parameter(layer, [&](const nn::ParameterName& name, auto& view, const nn::ParameterTraits&) {
    const auto size = static_cast<std::size_t>(view.size());
    result.push_back(check_gradient(name.view(), std::span(view.data, size), std::span(gradients[result.size()], size), loss, check));
  });
  return result;
}

/// A layer of one's own, whole: its parameters and its input, on random rows and with random parameters in [-1, 1).
///
///   testing::check_layer<RmsNorm<double, 5>, 5>(cpu, 3)         // 3 rows of 5 values in, and as many out
///
/// Layer      in double: the `parameters` walk, and
///              forward(device, Rows<double, In> x, Rows<double, Out> y, const Saved& saved) const
///              backward(device, x, const Saved& saved, Rows<double, Out> dy, Rows<double, In> dx, Layer& gradient) const
///            where Saved is a group of views (core/arena.hpp). dx must be overwritten: it is NaN before
/// Loss       sum of y * dy, dy random
template <class Layer, Index In, Index Out = In, class Device>
std::vector<GradientDifference> check_layer(Device& device, Index rows, GradientCheck check = {}) {
  nn::Module<Layer, Layer, Fp64, Device> layer(device), gradient(device);
  Tensor<Rows<double, In>, Device> x(device, rows), dx(device, rows);
  Tensor<Rows<double, Out>, Device> y(device, rows), dy(device, rows);
  TensorGroup<typename Layer::Saved, Device> saved(device, {.tokens = rows, .sequences = 1});
  const auto values = [](auto& tensor) { return std::span(tensor.data(), static_cast<std::size_t>(tensor.size())); };
  RandomStream random(1, RandomUse::synthesize);
  for (const auto some : {std::span(layer.flat(), static_cast<std::size_t>(layer.flat_size)), values(x), values(dy)})
    for (double& value : some) value = 2 * static_cast<double>(random.uniform()) - 1;
  std::ranges::fill(values(dx), std::numeric_limits<double>::quiet_NaN());

  const auto loss = [&] {
    layer.weights().forward(device, x, y, *saved);
    return std::inner_product(y.data(), y.data() + y.size(), dy.data(), 0.0);
  };
  loss();
  layer.weights().backward(device, x, *saved, dy, dx, gradient.weights());
  auto differences = check_parameters(layer.weights(), gradient.weights(), loss, check);
  differences.push_back(check_gradient("x", values(x), values(dx), loss, check));
  return differences;
}

/// True if every tensor's gradient agrees.
inline bool all_agree(std::span<const GradientDifference> differences) {
  return std::all_of(differences.begin(), differences.end(), [](const GradientDifference& d) { return d.agrees(); });
}

/// A line for each tensor that doesn't agree, naming its worst element; "every gradient agrees" where there is none.
inline std::string report(std::span<const GradientDifference> differences) {
  std::string text;
  for (const GradientDifference& d : differences)
    if (!d.agrees())
      text += concat(d.name, ": relative error ", d.relative_error(), " over ", d.values, " values, ", d.tolerance, " allowed; worst at [", d.worst,
                     "]: gradient ", d.analytic, ", finite difference ", d.finite_difference, "\n");
  return text.empty() ? "every gradient agrees" : text;
}

}  // namespace terse::testing
