#pragma once

#include <cstddef>
#include <memory>

#include <cuda_runtime.h>

#include <terse/core/error.hpp>
#include <terse/core/shape.hpp>
#include <terse/device/check.cuh>

namespace terse {

/// A block of a GPU's memory, uninitialised, at a multiple of alignment_bytes; freed when it dies, which waits for the GPU.
///
/// Errors     Failure::device: the GPU has no more
class CudaMemory {
 public:
  CudaMemory() = default;
  explicit CudaMemory(std::size_t bytes) : bytes_(bytes) {
    void* memory = nullptr;
    const auto status = cudaMalloc(&memory, bytes == 0 ? 1 : bytes);
    if (status == cudaErrorMemoryAllocation) fail_for_want_of(bytes);
    device::check(status, "cudaMalloc");
    memory_.reset(static_cast<std::byte*>(memory));
  }
  /// An address of the GPU: the CPU can't read it.
  std::byte* data() const { return memory_.get(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { static_cast<void>(cudaFree(memory)); }
  };

  [[noreturn]] static void fail_for_want_of(std::size_t bytes) {
    static_cast<void>(cudaGetLastError());
    int ordinal = 0;
    std::size_t free_bytes = 0, all_bytes = 0;
    static_cast<void>(cudaGetDevice(&ordinal));
    static_cast<void>(cudaMemGetInfo(&free_bytes, &all_bytes));
    fail(Failure::device, "cuda:", ordinal, " out of memory: ", bytes, " bytes needed, ", free_bytes, " of ", all_bytes, " free; try a smaller --batch");
  }

  std::unique_ptr<std::byte, Free> memory_;
  std::size_t bytes_ = 0;
};

}  // namespace terse
