#pragma once
#include <terse/core/shape.hpp>
#include <terse/device/cpu.hpp>

namespace terse {

/// Work that is queued over and over, with the same memory and one of a few sizes. Where a launch costs about what a kernel does, it is recorded once for each
/// size and then queued as a whole: what a decoding step of a GPU is.
template <class Device>
class Replay;

/// A call on a CPU is as cheap as it gets: nothing is recorded.
template <>
class Replay<Cpu> {
 public:
  /// `work(size)` for each size from 1 to `largest`.
  template <class Work>
  Replay(Cpu&, Index /*largest*/, Work&&) {}

  /// Queues what was recorded for `size`; if nothing was, calls work(size).
  template <class Work>
  void operator()(Index size, Work&& work) const { work(size); }
};

}  // namespace terse
