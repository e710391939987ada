#pragma once
#include <algorithm>

namespace terse::optim {

/// What gradients are multiplied by so that their global norm is at most `max_norm`: min(1, max_norm / (norm + 1e-6)), as
/// torch.nn.utils.clip_grad_norm_. `max_norm` 0: no clipping.
inline double clip_factor(double norm, double max_norm) {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace terse::optim
