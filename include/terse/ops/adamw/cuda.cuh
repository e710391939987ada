#pragma once
#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/ops/adamw/op.hpp>

namespace terse::ops::gpu {

// Sums of products by name where the CPU has them, so that both round alike.
__device__ inline void adamw_value(const AdamWFactors<float>& f, float keep, float gradient, float& master, float& m, float& v) {
  const float g = gradient * f.gradient_scale;
  m = fmaf(g - m, f.take1, m);
  v = fmaf(f.take2 * g, g, v * f.beta2);
  master = fmaf(master, keep, -(f.rate * m / (sqrtf(v) / f.root + f.epsilon)));
}

/// master and parameter may be the same memory.
template <Real P>
__global__ void adamw(const AdamWFactors<float>* factors, AdamWGroup<float> group, Index n, float* master, const float* gradient, float* m, float* v, P* parameter) {
  constexpr int each = 4;
  const Index first = device::first_value(each);
  AdamWFactors<float> f = *factors;
  if (f.skipped) return;
  f.rate *= group.rate;
  if (device::all_inside(first, each, n)) {
    float values[each], slopes[each], first_moments[each], second_moments[each];
    device::load(values, master + first);
    device::load(slopes, gradient + first);
    device::load(first_moments, m + first);
    device::load(second_moments, v + first);
    for (int i = 0; i < each; ++i) adamw_value(f, group.keep, slopes[i], values[i], first_moments[i], second_moments[i]);
    device::store(m + first, first_moments);
    device::store(v + first, second_moments);
    device::store(master + first, values);
    if constexpr (!std::is_same_v<P, float>) device::store(parameter + first, values);
  } else {
    for (Index i = first; device::inside(i, n); ++i) {
      adamw_value(f, group.keep, gradient[i], master[i], m[i], v[i]);
      if constexpr (!std::is_same_v<P, float>) parameter[i] = device::from_float<P>(master[i]);
    }
  }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// The formula of ops/adamw/op.hpp for parameters of one group. Float parameters are the master copy itself. Moves 28 bytes a value, and
/// sizeof(P) where parameters are a copy.
template <Real P>
void adamw(const Cuda& cuda, const AdamWFactors<float>* factors, const AdamWGroup<float>& group, Index n, float* master, const float* gradient, float* m, float* v, P* parameter) {
  device::launch(cuda, gpu::adamw<P>, device::threads_for(n, 4), factors, group, n, master, gradient, m, v, parameter);
}

}  // namespace terse::ops
