#pragma once
// What the machine's own tests share.
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <cuda_runtime.h>

#include <terse/device/launch.cuh>

#include "hostcuda/control.hpp"

/// A stream, and vectors on the device; the machine is reset when it goes.
class Device {
 public:
  Device() { cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking); }
  Device(const Device&) = delete;
  ~Device() {
    hostcuda::reset();
    for (void* const memory : memory_) cudaFree(memory);
    cudaStreamDestroy(stream_);
    hostcuda::reset();
  }

  cudaStream_t stream() const { return stream_; }
  template <class T>
  T* allocate(std::size_t count) {
    T* memory = nullptr;
    cudaMalloc(&memory, count * sizeof(T));
    memory_.push_back(memory);
    return memory;
  }
  template <class T>
  T* copy(const std::vector<T>& values) {
    T* const memory = allocate<T>(values.size());
    cudaMemcpyAsync(memory, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice, stream_);
    return memory;
  }
  template <class T>
  std::vector<T> read(const T* from, std::size_t count) const {
    std::vector<T> values(count);
    cudaMemcpyAsync(values.data(), from, count * sizeof(T), cudaMemcpyDeviceToHost, stream_);
    cudaStreamSynchronize(stream_);
    return values;
  }
  /// Waits; what the machine has to say, empty if nothing.
  std::string verdict() const { return cudaDeviceSynchronize() == cudaSuccess ? std::string() : hostcuda::last_report(); }

 private:
  cudaStream_t stream_ = nullptr;
  std::vector<void*> memory_;
};

inline std::vector<float> counting(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  return values;
}
