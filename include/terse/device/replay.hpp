#pragma once
#include <terse/core/shape.hpp>
#include <terse/device/cpu.hpp>

namespace terse {

/// Work that is queued over and over, with the same memory and one of a few sizes. Where a launch costs about what a kernel does, it is recorded at the first call
/// of each size, and from then on queued as a whole: what a decoding step of a GPU is.
template <class Device>
class Replay;

/// A call on a CPU is as cheap as it gets: nothing is recorded.
template <>
class Replay<Cpu> {
 public:
  /// For sizes from 1 to `largest`.
  Replay(Cpu&, Index /*largest*/) {}

  /// Queues work(), which must be the same for the same size.
  template <class Work>
  void operator()(Index /*size*/, Work&& work) const { work(); }
};

}  // namespace terse
