#pragma once
/// All that a program on GPUs needs, and all of <terse/terse.hpp>. For nvcc, and to be included before <terse/terse.hpp>: layers and models
/// call ops of any device, and a template finds those overloads that were declared before it.

namespace terse {
inline constexpr bool layers_are_defined = false;  ///< of nn, as seen from outside it
namespace nn {
static_assert(!layers_are_defined, "terse: include <terse/cuda.hpp> before <terse/terse.hpp> and its parts");  // nn has its own, once it is there
}
}  // namespace terse

#include <terse/device/cuda.cuh>
#include <terse/device/host_access.cuh>
#include <terse/device/mirror.cuh>
#include <terse/device/readback.cuh>
#include <terse/device/replay.cuh>
#include <terse/device/staging.cuh>
#include <terse/dist/nccl.cuh>
#include <terse/dist/trace.cuh>
#include <terse/ops/adamw/cuda.cuh>
#include <terse/ops/attention/cuda.cuh>
#include <terse/ops/cached_attention/cuda.cuh>
#include <terse/ops/cast/cuda.cuh>
#include <terse/ops/cross_entropy/cuda.cuh>
#include <terse/ops/degeneration/cuda.cuh>
#include <terse/ops/ema/cuda.cuh>
#include <terse/ops/embedding/cuda.cuh>
#include <terse/ops/gather/cuda.cuh>
#include <terse/ops/gelu/cuda.cuh>
#include <terse/ops/layer_norm/cuda.cuh>
#include <terse/ops/logits/cuda.cuh>
#include <terse/ops/matmul/cuda.cuh>
#include <terse/ops/matmul/invariant.cuh>
#include <terse/ops/overflow/cuda.cuh>
#include <terse/ops/r_drop/cuda.cuh>
#include <terse/ops/reduce/cuda.cuh>
#include <terse/ops/residual/cuda.cuh>
#include <terse/ops/rms_norm/cuda.cuh>
#include <terse/ops/rotary/cuda.cuh>
#include <terse/ops/sample/cuda.cuh>
#include <terse/ops/swiglu/cuda.cuh>
#include <terse/ops/workspace/cuda.cuh>
#include <terse/optim/update.cuh>

#include <terse/terse.hpp>
