#pragma once
#include <limits>

namespace terse::train {

/// Where a run stands between two steps. The sampler's cursor is step * samples_per_step, and random numbers are counted, not drawn, so nothing
/// else but parameters and moments is needed to go on with the same bits.
struct RunState {
  long step = 0;               ///< steps done
  long optimizer_steps = 0;    ///< of them not skipped
  float scale = 1;             ///< of the loss
  int clean_steps = 0;         ///< since the scale changed
  int skipped_in_a_row = 0;
  double best_validation_loss = std::numeric_limits<double>::infinity();

  bool operator==(const RunState&) const = default;
};

}  // namespace terse::train
