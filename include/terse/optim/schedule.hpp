#pragma once
#include <cmath>
#include <numbers>

namespace terse::optim {

/// Linear warmup, then a cosine from `lr` towards `min_lr`, which step `decay` would reach. Steps count from 0.
///
///   step < warmup   lr * (step + 1) / (warmup + 1)
///   step > decay    min_lr
///   else            min_lr + (1 + cos(pi * r)) / 2 * (lr - min_lr),   r = (step - warmup) / (decay - warmup)
///
/// `warmup` may exceed `decay`: the rate then only rises. Source: nanoGPT's get_lr.
struct CosineSchedule {
  double lr = 3e-4, min_lr = 3e-5;
  long warmup = 100, decay = 500;

  /// The learning rate of `step`.
  double at(long step) const {
    if (step < warmup) return lr * static_cast<double>(step + 1) / static_cast<double>(warmup + 1);
    if (step > decay || decay <= warmup) return min_lr;
    const double ratio = static_cast<double>(step - warmup) / static_cast<double>(decay - warmup);
    return std::fma((1 + std::cos(std::numbers::pi * ratio)) / 2, lr - min_lr, min_lr);  // by name: the same on every instruction set
  }
};

}  // namespace terse::optim
