#pragma once
#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>

namespace terse::ops::gpu {

template <Real From, Real To>
__global__ void cast(const From* x, To* y, Index n) {
  constexpr int each = device::values_per_access<From, To>;
  const Index first = device::first_value(each);
  if (device::all_inside(first, each, n)) {
    float values[each];
    device::load(values, x + first);
    device::store(y + first, values);
  } else {
    for (Index i = first; device::inside(i, n); ++i) y[i] = device::from_float<To>(device::to_float(x[i]));
  }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// y = x, in y's dtype. Moves sizeof(From) + sizeof(To) bytes a value. Both at multiples of 16 bytes.
template <Real From, Real To>
void cast(const Cuda& cuda, const From* x, To* y, Index n) {
  device::launch(cuda, gpu::cast<From, To>, device::threads_for(n, device::values_per_access<From, To>), x, y, n);
}

}  // namespace terse::ops
