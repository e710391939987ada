#pragma once
#include <cmath>

#include <terse/core/dtype.hpp>
#include <terse/device/cpu.hpp>
#include <terse/ops/adamw/op.hpp>
#include <terse/optim/clip.hpp>
#include <terse/optim/loss_scaler.hpp>

namespace terse::optim {

/// What is asked of an optimizer step; known before it.
struct UpdateRules {
  ops::AdamW adamw;
  double clip = 0;         ///< largest global norm of the gradient; 0: no clipping
  double layer_decay = 1;  ///< of the learning rate, a block nearer to the input (optim/layer_decay.hpp); 1: one rate for all
};

/// Where the optimizer stands, and what its newest step did. It lies in the device's memory and is changed there, so that no step waits for the
/// host to look at a gradient's norm.
template <Real S>
struct UpdateState {
  LossScaler scaler{};
  long steps = 0;        ///< taken: those that weren't skipped
  double norm = 0;       ///< of the newest step's gradient, unscaled; not finite where it was skipped
  ops::AdamWFactors<S> factors{};

  /// The gradient of the newest step wasn't finite, so parameters and moments stayed as they were.
  constexpr bool skipped() const { return factors.skipped; }
};

constexpr double sum_in_order(const double* values, Index count) {
  double sum = 0;
  for (Index i = 0; i < count; ++i) sum += values[i];
  return sum;
}

/// The next step, from the sum of squares of the gradient of scaler.scale times the loss:
///
///   norm = sqrt(sum_of_squares) / scale      not finite: the step is skipped, the scale halves
///   AdamW of gradient * clip_factor(norm) / scale
template <Real S>
constexpr void decide(UpdateState<S>& state, const UpdateRules& rules, double sum_of_squares) {
  const double scale = static_cast<double>(state.scaler.scale);
  state.norm = std::sqrt(sum_of_squares) / scale;
  const bool skipped = !(state.norm - state.norm == 0);  // infinite or not a number
  if (!skipped) state.factors = ops::adamw_factors<S>(rules.adamw, ++state.steps, clip_factor(state.norm, rules.clip) / scale);
  state.factors.skipped = skipped;
  state.scaler.update(skipped);
}

/// `decide` on the device, from `count` partial sums of squares in its memory and into it.
template <Real S>
void update(const Cpu&, const UpdateRules& rules, const double* sums_of_squares, Index count, UpdateState<S>* state) {
  decide(*state, rules, sum_in_order(sums_of_squares, count));
}

}  // namespace terse::optim
