#pragma once
#include <limits>
#include <string>

namespace terse::train {

/// Ends a run after `patience` evaluations in a row without a better one; higher is better (give a loss with its sign changed).
struct EarlyStop {
  std::string metric{};  ///< what the values are; for whoever saves and shows them
  int patience = 0;  ///< 0: never
  double best = -std::numeric_limits<double>::infinity();
  int evaluations_since = 0;

  /// Takes the newest value; true when it is enough.
  bool is_enough(double value) {
    evaluations_since = value > best ? 0 : evaluations_since + 1;
    if (value > best) best = value;
    return patience > 0 && evaluations_since >= patience;
  }
};

}  // namespace terse::train
