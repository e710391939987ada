#pragma once

namespace terse::ops {

/// Exponential moving average of weights (Polyak, Juditsky 1992), as torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn(decay), whose first update copies:
///
///   average = weight                                      at the first step of AdamW
///   average = average + (1 - decay) * (weight - average)  at those after it
///
/// Shapes     weight, average (n); average is overwritten. A step that AdamW skipped changes nothing
/// Precision  float (double for double)
/// Errors     none: 0 <= decay < 1 where it enters
struct Ema {
  double decay = 0.999;
};

}  // namespace terse::ops
