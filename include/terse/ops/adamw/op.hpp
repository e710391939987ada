#pragma once
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

}  // namespace terse::ops
