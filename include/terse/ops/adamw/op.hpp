#pragma once
#include <cmath>

#include <terse/core/dtype.hpp>

namespace terse::ops {

/// One AdamW step (Loshchilov, Hutter 2019, arXiv:1711.05101), as torch.optim.AdamW computes it, over n values at once:
///
///   g = gradient * gradient_scale
///   w = w * (1 - lr * weight_decay)
///   m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g²
///   w = w - (lr / (1 - beta1^t)) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
///
/// Shapes     master, gradient, m, v, parameter (n)
/// Precision  master, gradient, m, v float (double for double); parameter: the rounded copy that the model computes with, which may be
///            the master itself
struct AdamW {
  double lr = 3e-4, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.1;
};

/// What is one group of parameters' own, as torch's parameter groups: known before the step.
template <Real S>
struct AdamWGroup {
  S keep = 1;  ///< 1 - lr * weight_decay, with the group's lr; 1: it doesn't decay
  S rate = 1;  ///< the group's lr, as a multiple of AdamW's
};

/// Of parameters whose learning rate is `rate` times `op`'s; `decays`: weight decay acts on them.
template <Real S>
constexpr AdamWGroup<S> adamw_group(const AdamW& op, bool decays, double rate = 1) {
  return {.keep = static_cast<S>(decays ? 1 - op.lr * rate * op.weight_decay : 1.0), .rate = static_cast<S>(rate)};
}

/// What the pass over the parameters reads of a step: numbers that follow from AdamW, the step and the gradient's norm. They lie in the device's memory, so that
/// who decides them may be the device.
template <Real S>
struct AdamWFactors {
  S gradient_scale = 1;        ///< unscales and clips
  S rate = 0;                  ///< lr / (1 - beta1^t)
  S root = 1, epsilon = 0;     ///< sqrt(1 - beta2^t)
  S take1 = 0, beta2 = 1, take2 = 0;  ///< 1 - beta1, beta2, 1 - beta2
  bool is_first = false;       ///< t is 1
  bool skipped = false;        ///< the step changes nothing
};

/// The numbers of step t, which counts from 1; powers and roots in double.
template <Real S>
constexpr AdamWFactors<S> adamw_factors(const AdamW& op, long t, double gradient_scale) {
  const double correction1 = 1 - std::pow(op.beta1, static_cast<double>(t)), correction2 = 1 - std::pow(op.beta2, static_cast<double>(t));
  return {.gradient_scale = static_cast<S>(gradient_scale),
          .rate = static_cast<S>(op.lr / correction1),
          .root = static_cast<S>(std::sqrt(correction2)),
          .epsilon = static_cast<S>(op.epsilon),
          .take1 = static_cast<S>(1 - op.beta1),
          .beta2 = static_cast<S>(op.beta2),
          .take2 = static_cast<S>(1 - op.beta2),
          .is_first = t == 1,
          .skipped = false};
}

}  // namespace terse::ops
