#pragma once
#include <terse/core/packed_batch.hpp>
#include <terse/device/cuda.cuh>

namespace terse {

/// Launches every kernel of the library. The batch's spans need sizes, but no memory.
void launch_every_kernel(Cuda& cuda, const PackedBatch& batch);

}  // namespace terse
