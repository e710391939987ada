#pragma once
#include <cmath>
#include <numbers>

#include <terse/core/philox.hpp>
#include <terse/nn/model.hpp>

namespace terse::nn {

/// Fills a model's flat parameters as its table says: N(mean, deviation / sqrt(residual_branches)), padding rows 0.
///
/// A value depends on seed, parameter and place alone (Box-Muller on Philox words), so every rank and machine begins alike.
template <Model M, Real T>
void initialize(T* flat, std::uint64_t seed) {
  std::uint64_t number = 0;
  for (const ParameterInfo& parameter : M::table) {
    RandomStream random(seed, RandomUse::initialize, number++);
    const auto& traits = parameter.traits;
    const float deviation = traits.deviation / std::sqrt(static_cast<float>(traits.residual_branches));
    const Index real = parameter.saved_rows * parameter.columns;
    for (Index i = 0; i < parameter.size(); ++i) {
      float value = i < real ? traits.mean : 0;
      if (i < real && deviation > 0) {
        const float radius = std::sqrt(-2 * std::log(1 - random.uniform())), angle = 2 * std::numbers::pi_v<float> * random.uniform();
        value += deviation * radius * std::cos(angle);
      }
      flat[parameter.offset + i] = static_cast<T>(value);
    }
  }
}

/// The same of a model's own parameters.
template <Model M>
void initialize(const M& model, std::uint64_t seed) {
  initialize<M>(model.flat(), seed);
}

}  // namespace terse::nn
