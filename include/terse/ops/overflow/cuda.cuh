#pragma once
#include <cstdint>
#include <span>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/ops/overflow/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu {

/// True in all threads of the block if a value in [first, first + n) of x isn't finite.
template <Real S>
__device__ bool any_not_finite(const S* x, Index first, Index n) {
  bool found = false;
  for (Index i = threadIdx.x; device::inside(i, n); i += device::block_threads) {
    const float value = device::to_float(x[first + i]);
    found |= !(value - value == 0);
  }
  return __syncthreads_or(found) != 0;
}

/// A block for each document: whether its gradient isn't finite.
template <Real S>
__global__ void look_at_documents(const std::int32_t* cu_seqlens, const S* dstream, Index columns, const Overflow* overflow, std::int32_t* found) {
  if (overflow->found()) return;
  const Index first = cu_seqlens[blockIdx.x], end = cu_seqlens[blockIdx.x + 1];
  const bool bad = any_not_finite(dstream, first * columns, (end - first) * columns);
  if (threadIdx.x == 0) found[blockIdx.x] = bad;
}

/// True if a parameter is still to be found: this micro-batch is the first with an overflow.
__device__ inline bool lacks_parameter(const Overflow& overflow, std::int32_t micro_batch) { return overflow.micro_batch == micro_batch && overflow.parameter < 0; }

/// A block for each parameter.
template <Real S>
__global__ void look_at_parameters(const S* gradient, const FlatRange* ranges, std::int32_t micro_batch, const Overflow* overflow, std::int32_t* found) {
  if (!lacks_parameter(*overflow, micro_batch)) return;
  const FlatRange range = ranges[blockIdx.x];
  const bool bad = any_not_finite(gradient, range.first, range.size);
  if (threadIdx.x == 0) found[blockIdx.x] = bad;
}

/// One thread: the first document that was found. (A template, since a kernel can't be inline.)
template <class Found>
__global__ void note_document(const Found* found, Index documents, std::int32_t micro_batch, Overflow* overflow) {
  if (overflow->found()) return;
  for (Index b = 0; device::inside(b, documents); ++b)
    if (found[b] != 0) {
      overflow->micro_batch = micro_batch, overflow->document = static_cast<std::int32_t>(b);
      return;
    }
}

/// One thread: the last parameter that was found, counted from `first`.
template <class Found>
__global__ void note_parameter(const Found* found, Index first, Index parameters, std::int32_t micro_batch, Overflow* overflow) {
  if (!lacks_parameter(*overflow, micro_batch)) return;
  for (Index p = parameters - 1; p >= 0; --p)
    if (found[p] != 0) {
      overflow->parameter = static_cast<std::int32_t>(first + p);
      return;
    }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// Bytes of workspace that find_overflow takes.
constexpr std::size_t overflow_workspace(Index documents, Index parameters) {
  return static_cast<std::size_t>(documents > parameters ? documents : parameters) * sizeof(std::int32_t);
}

/// See ops/overflow/op.hpp. Moves sizeof(S) bytes a value of dstream; looks at the gradient only where something was found.
template <Real S, Index C>
void find_overflow(const Cuda& cuda, std::span<const std::int32_t> cu_seqlens, Rows<S, C> dstream, const S* gradient, const FlatRange* ranges, Index first, Index end,
                   std::int32_t micro_batch, Overflow* overflow) {
  const Index documents = static_cast<Index>(cu_seqlens.size()) - 1, parameters = end - first;
  auto* const found = reinterpret_cast<std::int32_t*>(cuda.workspace(overflow_workspace(documents, parameters)));
  const auto block_for_each = [](Index count) { return device::Launch{.blocks = device::grid(count), .threads = dim3(device::block_threads)}; };
  const device::Launch one_thread{.blocks = dim3(1), .threads = dim3(1)};
  device::launch(cuda, gpu::look_at_documents<S>, block_for_each(documents), cu_seqlens.data(), dstream.data, C, overflow, found);
  device::launch(cuda, gpu::note_document<std::int32_t>, one_thread, found, documents, micro_batch, overflow);
  device::launch(cuda, gpu::look_at_parameters<S>, block_for_each(parameters), gradient, ranges + first, micro_batch, overflow, found);
  device::launch(cuda, gpu::note_parameter<std::int32_t>, one_thread, found, first, parameters, micro_batch, overflow);
}

}  // namespace terse::ops
