#pragma once
/// Conversion between dtypes, value by value, rounding to nearest even: y = x.
///
/// Shapes     x, y (n); y is overwritten
/// Precision  any Real to any Real; too large for the target: infinity, as IEEE 754 rounds

#include <algorithm>

#include <terse/device/cpu.hpp>
#include <terse/core/dtype.hpp>

namespace terse::ops {

/// y = x, in y's dtype.
template <Real From, Real To>
void cast(const Cpu& cpu, const From* x, To* y, Index n) {
  constexpr Index piece = 16384;
  cpu.parallel_for(divide_up(n, piece), [=](Index p) {
    const Index end = std::min(n, (p + 1) * piece);
#pragma omp simd
    for (Index i = p * piece; i < end; ++i) assign(y[i], static_cast<Wide<To>>(x[i]));
  });
}

}  // namespace terse::ops
