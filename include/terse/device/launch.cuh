#pragma once
/// The only place that launches kernels.

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <type_traits>

#include <cuda_runtime.h>
#include <cxxabi.h>

#include <terse/core/shape.hpp>
#include <terse/device/check.cuh>
#include <terse/device/cuda.cuh>

namespace terse::device {

/// The shape of a launch. `shared_bytes`: the size of the struct that the kernel takes by shared<T>().
struct Launch {
  dim3 blocks, threads;
  std::size_t shared_bytes = 0;
};

/// So many blocks; y and z up to 65535.
inline dim3 grid(Index x, Index y = 1, Index z = 1) {
  return dim3(static_cast<unsigned>(x), static_cast<unsigned>(y), static_cast<unsigned>(z));
}

/// A kernel's name as its author wrote it, for messages.
inline std::string name_of_kernel(const void* kernel) {
  const char* symbol = nullptr;
  if (cudaFuncGetName(&symbol, kernel) != cudaSuccess || symbol == nullptr) return "(unnamed)";
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(symbol, nullptr, nullptr, nullptr), std::free);
  return name == nullptr ? symbol : name.get();
}

/// Queues the kernel on the stream. Nothing for a grid without blocks.
///
/// Errors     Failure::device, with the kernel's name: CUDA refuses the shape. What goes wrong while it runs is reported by a later call.
template <class... Parameters>
void launch(cudaStream_t stream, void (*kernel)(Parameters...), const Launch& shape, std::type_identity_t<Parameters>... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "terse: launch: arguments of a kernel are trivially copyable");
  if (shape.blocks.x == 0 || shape.blocks.y == 0 || shape.blocks.z == 0) return;
  constexpr std::size_t without_asking = 48 << 10;  // more dynamic shared memory must be asked for, kernel by kernel
  cudaError_t status = cudaSuccess;
  if (shape.shared_bytes > without_asking)
    status = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes));
  if (status == cudaSuccess) {
    cudaLaunchConfig_t config{};
    config.gridDim = shape.blocks, config.blockDim = shape.threads, config.dynamicSmemBytes = shape.shared_bytes, config.stream = stream;
    status = cudaLaunchKernelEx(&config, kernel, arguments...);
  }
  if (status != cudaSuccess) check(status, ("kernel " + name_of_kernel(reinterpret_cast<const void*>(kernel))).c_str());
}
/// The same, behind the device's ops; nothing while it rehearses.
template <class... Parameters>
void launch(const Cuda& cuda, void (*kernel)(Parameters...), const Launch& shape, std::type_identity_t<Parameters>... arguments) {
  if (!cuda.rehearses()) launch(cuda.stream(), kernel, shape, arguments...);
}

}  // namespace terse::device
