#pragma once
#include <cstdint>

#include <terse/core/shape.hpp>

namespace terse::ops {

/// Where a step's gradients stopped being finite; all -1 while they are. Lies in the device's memory.
struct Overflow {
  std::int32_t micro_batch = -1;  ///< the first with one
  std::int32_t document = -1;     ///< of it, the first: gradients of the residual stream never leave their document
  std::int32_t parameter = -1;    ///< the last in the model's table, which is nearest the loss; -1: in none yet, so it is the loss

  constexpr bool found() const { return micro_batch >= 0; }
};

/// A parameter's place in a flat buffer.
struct FlatRange {
  Index first = 0, size = 0;
};

// find_overflow(device, cu_seqlens, dstream, gradient, ranges, first, end, micro_batch, overflow) looks for one, unless an earlier micro-batch had one, during or after the
// backward of a micro-batch: in the residual stream's gradient as it is now, and then in the parameters [first, end), whose gradients are final. Called for several
// ranges, the last parameters come first; what was looked at while the stream was finite isn't looked at again.
//
// Shapes     cu_seqlens (B+1) · dstream (T, C) · gradient: flat · ranges: of all parameters, in the device's memory as `overflow` is

}  // namespace terse::ops
