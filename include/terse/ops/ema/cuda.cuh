#pragma once
#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/ops/adamw/op.hpp>
#include <terse/ops/ema/op.hpp>

namespace terse::ops::gpu {

/// What the average becomes: rounded as the CPU's.
__device__ inline float ema_value(float average, float weight, float take, bool copies) { return copies ? weight : fmaf(weight - average, take, average); }

template <Real S>
__global__ void ema(float take, const AdamWFactors<S>* factors, Index n, const S* weight, S* average) {
  constexpr int each = 4;
  const Index first = device::first_value(each);
  if (factors->skipped) return;
  const bool copies = factors->is_first;
  if (device::all_inside(first, each, n)) {
    S weights[each], averages[each];
    device::load(weights, weight + first);
    device::load(averages, average + first);
    for (int i = 0; i < each; ++i) averages[i] = ema_value(averages[i], weights[i], take, copies);
    device::store(average + first, averages);
  } else {
    for (Index i = first; device::inside(i, n); ++i) average[i] = ema_value(average[i], weight[i], take, copies);
  }
}

template <Real S>
__global__ void exchange(S* a, S* b, Index n) {
  constexpr int each = 4;
  const Index first = device::first_value(each);
  if (device::all_inside(first, each, n)) {
    S of_a[each], of_b[each];
    device::load(of_a, a + first);
    device::load(of_b, b + first);
    device::store(a + first, of_b);
    device::store(b + first, of_a);
  } else {
    for (Index i = first; device::inside(i, n); ++i) {
      const S of_a = a[i];
      a[i] = b[i], b[i] = of_a;
    }
  }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// The formula of ops/ema/op.hpp, after the step that `factors` are of. Moves 12 bytes a value.
inline void ema(const Cuda& cuda, const Ema& op, const AdamWFactors<float>* factors, Index n, const float* weight, float* average) {
  device::launch(cuda, gpu::ema<float>, device::threads_for(n, 4), static_cast<float>(1 - op.decay), factors, n, weight, average);
}

/// a (n) becomes b, and b a. Both at multiples of 16 bytes. Moves 16 bytes a value.
inline void exchange(const Cuda& cuda, float* a, float* b, Index n) { device::launch(cuda, gpu::exchange<float>, device::threads_for(n, 4), a, b, n); }

}  // namespace terse::ops
