#pragma once
#include <cstddef>

#include <cuda_runtime.h>

#include <terse/device/check.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/handles.cuh>
#include <terse/device/readback.hpp>

namespace terse {

/// Through page-locked memory, so that neither waits for the other.
template <>
class Readback<Cuda> {
 public:
  /// Errors     Failure::device: no page-locked memory is left
  Readback(Cuda& cuda, std::size_t bytes) : cuda_(&cuda), bytes_(bytes) {}

  void copy(std::size_t at, const void* from, std::size_t bytes) {
    device::check(cudaMemcpyAsync(bytes_.data() + at, from, bytes, cudaMemcpyDeviceToHost, cuda_->stream()), "copy from the GPU");
  }
  void send() { device::check(cudaEventRecord(there_.get(), cuda_->stream()), "cudaEventRecord"); }
  const std::byte* wait() const {
    cuda_->wait_for(there_);
    return bytes_.data();
  }

 private:
  Cuda* cuda_;
  device::PinnedMemory bytes_;
  device::Event there_;
};

}  // namespace terse
