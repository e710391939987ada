#pragma once
#include <terse/device/cuda.cuh>
#include <terse/device/launch.cuh>
#include <terse/optim/update.hpp>

namespace terse::optim {

namespace gpu {

/// One thread.
template <Real S>
__global__ void update(UpdateRules rules, const double* sum_of_squares, UpdateState<S>* state) {
  decide(*state, rules, *sum_of_squares);
}

}  // namespace gpu

/// `decide` on the GPU, from and into its memory; only queued.
template <Real S>
void update(const Cuda& cuda, const UpdateRules& rules, const double* sum_of_squares, UpdateState<S>* state) {
  device::launch(cuda, gpu::update<S>, {.blocks = dim3(1), .threads = dim3(1)}, rules, sum_of_squares, state);
}

}  // namespace terse::optim
