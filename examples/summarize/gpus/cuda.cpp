// A program with CUDA: plain C++ over its runtime.
#include <cstdlib>

#include <cuda_runtime.h>

#include "../gpus.hpp"

namespace summarize {

namespace {

struct Found {
  std::vector<Gpu> gpus;
  cudaError_t status = cudaSuccess;
};

Found find() {
  Found found;
  // Kernels are loaded before the first step, not at their first launch, which could wait for a collective of another rank.
  ::setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  int count = 0, before = 0;
  found.status = cudaGetDeviceCount(&count);
  if (found.status != cudaSuccess || count == 0) return found;
  static_cast<void>(cudaGetDevice(&before));
  for (int ordinal = 0; ordinal < count && found.status == cudaSuccess; ++ordinal) {
    cudaDeviceProp properties{};
    std::size_t free_bytes = 0, bytes = 0;
    found.status = cudaSetDevice(ordinal);
    if (found.status == cudaSuccess) found.status = cudaGetDeviceProperties(&properties, ordinal);
    if (found.status == cudaSuccess) found.status = cudaMemGetInfo(&free_bytes, &bytes);
    if (found.status == cudaSuccess) found.gpus.push_back({properties.name, 10 * properties.major + properties.minor, bytes, free_bytes});
  }
  static_cast<void>(cudaSetDevice(before));
  return found;
}

const Found& found() {
  static const Found once = find();
  return once;
}

}  // namespace

const std::vector<Gpu>& usable_gpus() { return found().gpus; }

std::string why_no_gpu() {
  const auto status = found().status;
  return status == cudaSuccess ? "CUDA finds no GPU" : std::string("CUDA says: ") + cudaGetErrorString(status);
}

}  // namespace summarize
