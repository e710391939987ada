#pragma once
namespace terse::optim {

/// What gradients are multiplied by so that their global norm is at most `max_norm`: min(1, max_norm / (norm + 1e-6)), as
/// torch.nn.utils.clip_grad_norm_. `max_norm` 0: no clipping.
constexpr double clip_factor(double norm, double max_norm) {
  const double factor = max_norm / (norm + 1e-6);
  return max_norm > 0 && factor < 1 ? factor : 1.0;
}

}  // namespace terse::optim
