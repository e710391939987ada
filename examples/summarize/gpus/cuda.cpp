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
  // NCCL 2.24 to 2.26.4 fail between processes where GPUs can't read each other's memory (its user guide, "Troubleshooting"), as on Kaggle.
  ::setenv("NCCL_CUMEM_HOST_ENABLE", "0", 0);
  int count = 0;
  found.status = cudaGetDeviceCount(&count);
  for (int ordinal = 0; ordinal < count && found.status == cudaSuccess; ++ordinal) {
    cudaDeviceProp properties{};
    found.status = cudaGetDeviceProperties(&properties, ordinal);
    if (found.status == cudaSuccess) found.gpus.push_back({ordinal, properties.name, 10 * properties.major + properties.minor, properties.totalGlobalMem});
  }
  return found;
}

const Found& found() {
  static const Found once = find();
  return once;
}

}  // namespace

const std::vector<Gpu>& usable_gpus() { return found().gpus; }

std::uint64_t free_memory(const Gpu& gpu) {
  int before = 0;
  std::size_t free_bytes = 0, bytes = 0;
  static_cast<void>(cudaGetDevice(&before));
  if (cudaSetDevice(gpu.ordinal) != cudaSuccess || cudaMemGetInfo(&free_bytes, &bytes) != cudaSuccess) free_bytes = 0;
  static_cast<void>(cudaGetLastError());
  static_cast<void>(cudaSetDevice(before));
  return free_bytes;
}

std::string why_no_gpu() {
  const auto status = found().status;
  int driver = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) return "there is no NVIDIA driver";  // which CUDA calls one that is too old
  return status == cudaSuccess ? "CUDA finds no GPU" : std::string("CUDA says: ") + cudaGetErrorString(status);
}

bool has_nccl() {
#if defined(TERSE_WITH_NCCL)
  return true;
#else
  return false;
#endif
}

}  // namespace summarize
