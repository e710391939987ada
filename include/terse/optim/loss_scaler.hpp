#pragma once
#include <limits>

namespace terse::optim {

/// Dynamic loss scaling, as torch.amp.GradScaler: the loss is multiplied by `scale`, so that small gradients survive fp16; the scale
/// halves when a gradient overflows (that step is skipped), and doubles after `growth_interval` clean steps in a row, but never to infinity.
struct LossScaler {
  static constexpr int growth_interval = 2000;

  float scale = 1;        ///< what to multiply the next loss by
  int clean_steps = 0;    ///< without overflow since the scale last changed
  bool enabled = false;   ///< without scaling (fp32, bf16) the scale is and stays 1

  /// At the start of a run.
  static constexpr LossScaler start(bool enabled) { return {enabled ? 65536.0f : 1.0f, 0, enabled}; }

  /// After each step: whether its gradients overflowed, so that it was skipped.
  constexpr void update(bool overflowed) {
    if (!enabled) return;
    if (overflowed) {
      scale *= 0.5f, clean_steps = 0;
    } else if (++clean_steps >= growth_interval) {
      if (scale <= 0.5f * std::numeric_limits<float>::max()) scale *= 2.0f;
      clean_steps = 0;
    }
  }
};

}  // namespace terse::optim
