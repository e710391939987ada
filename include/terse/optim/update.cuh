#pragma once
#include <terse/device/cuda.cuh>
#include <terse/device/launch.cuh>
#include <terse/optim/update.hpp>

namespace terse::optim {

namespace gpu {

/// One thread.
template <Real S>
__global__ void update(UpdateRules rules, const double* sums_of_squares, Index count, UpdateState<S>* state) {
  decide(*state, rules, sum_in_order(sums_of_squares, count));
}

}  // namespace gpu

/// `decide` on the GPU, from `count` partial sums of squares in its memory and into it; only queued.
template <Real S>
void update(const Cuda& cuda, const UpdateRules& rules, const double* sums_of_squares, Index count, UpdateState<S>* state) {
  device::launch(cuda, gpu::update<S>, {.blocks = dim3(1), .threads = dim3(1)}, rules, sums_of_squares, count, state);
}

}  // namespace terse::optim
