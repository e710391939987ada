#pragma once
#include <cstddef>

#include <cuda_runtime.h>

#include <terse/device/check.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/handles.cuh>
#include <terse/device/mirror.hpp>

namespace terse {

/// Through page-locked memory.
template <>
class Mirror<Cuda> {
 public:
  static constexpr std::size_t bytes(std::size_t size) { return size; }

  Mirror(Cuda& cuda, std::size_t size) : cuda_(&cuda), host_(size), gpu_(cuda.allocate(size)) {}

  std::byte* on_host() const { return host_.data(); }
  std::byte* on_device() const { return gpu_.data(); }
  std::size_t size() const { return gpu_.bytes(); }

  void upload(std::size_t bytes) const { device::check(cudaMemcpyAsync(gpu_.data(), host_.data(), bytes, cudaMemcpyHostToDevice, cuda_->stream()), "copy to the GPU"); }
  void upload() const { upload(size()); }
  void download() const {
    device::check(cudaMemcpyAsync(host_.data(), gpu_.data(), size(), cudaMemcpyDeviceToHost, cuda_->stream()), "copy from the GPU");
    device::check(cudaStreamSynchronize(cuda_->stream()), "kernels");
  }

 private:
  Cuda* cuda_;
  device::PinnedMemory host_;
  Cuda::Memory gpu_;
};

}  // namespace terse
