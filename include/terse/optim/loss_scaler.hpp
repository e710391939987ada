#pragma once
namespace terse::optim {

/// Dynamic loss scaling, as torch.amp.GradScaler: the loss is multiplied by `scale`, so that small gradients survive fp16; the scale
/// halves when a gradient overflows (that step is skipped), and doubles after `growth_interval` clean steps in a row.
class LossScaler {
 public:
  /// Without scaling (fp32, bf16) the scale is and stays 1.
  explicit LossScaler(bool enabled) : enabled_(enabled), scale_(enabled ? 65536.0f : 1.0f) {}

  /// What to multiply the next loss by.
  float scale() const { return scale_; }
  /// Steps without overflow since the scale last changed.
  int clean_steps() const { return clean_steps_; }

  /// Goes on from a saved state.
  void restore(float scale, int clean_steps) {
    if (enabled_) scale_ = scale, clean_steps_ = clean_steps;
  }

  /// After each step: whether its gradients overflowed, so that it was skipped.
  void update(bool overflowed) {
    if (!enabled_) return;
    if (overflowed) {
      scale_ *= 0.5f, clean_steps_ = 0;
    } else if (++clean_steps_ == growth_interval) {
      scale_ *= 2.0f, clean_steps_ = 0;
    }
  }

  static constexpr int growth_interval = 2000;

 private:
  bool enabled_;
  float scale_;
  int clean_steps_ = 0;
};

}  // namespace terse::optim
