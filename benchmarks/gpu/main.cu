// main of the GPU's benchmark programs: as Google Benchmark's own, but it asks the GPU what it is first. What numbers depend on stands in the JSON's context.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <benchmark/benchmark.h>
#include <cublasLt.h>
#include <terse/device/cuda.cuh>
#include <terse/dist/nccl.cuh>

#include "main.hpp"

using namespace terse;

namespace {

/// As "12.8" of 12080.
std::string version(int number) { return concat(number / 1000, ".", number % 1000 / 10); }

void add_versions() {
  int driver = 0, runtime = 0;
  static_cast<void>(cudaDriverGetVersion(&driver));
  static_cast<void>(cudaRuntimeGetVersion(&runtime));
  benchmark::AddCustomContext("CUDA of the driver", version(driver));
  benchmark::AddCustomContext("CUDA runtime", version(runtime));
  benchmark::AddCustomContext("cuBLASLt", std::to_string(cublasLtGetVersion()));
#if defined(TERSE_WITH_NCCL)
  int nccl = 0;
  static_cast<void>(ncclGetVersion(&nccl));
  benchmark::AddCustomContext("NCCL, header", std::to_string(NCCL_VERSION_CODE));
  benchmark::AddCustomContext("NCCL, library", std::to_string(nccl));
#else
  benchmark::AddCustomContext("NCCL, library", "built without");
#endif
}

int attribute(cudaDeviceAttr which, int ordinal) {
  int value = 0;
  device::check(cudaDeviceGetAttribute(&value, which, ordinal), "attribute of a GPU");
  return value;
}

void add_devices() {
  int count = 0;
  device::check(cudaGetDeviceCount(&count), "number of GPUs");
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    const auto bus = [&](cudaDeviceAttr which) { return static_cast<double>(attribute(which, ordinal)); };
    // Two transfers a clock; kHz and bits.
    const double gigabytes = 2 * bus(cudaDevAttrMemoryClockRate) * bus(cudaDevAttrGlobalMemoryBusWidth) / 8 * 1e-6;
    const auto key = concat("cuda:", ordinal);
    benchmark::AddCustomContext(key + " multiprocessors", std::to_string(attribute(cudaDevAttrMultiProcessorCount, ordinal)));
    benchmark::AddCustomContext(key + " memory's clock x width, GB/s", std::to_string(static_cast<int>(gigabytes + 0.5)));
    benchmark::AddCustomContext(key + " cache, KiB", std::to_string(attribute(cudaDevAttrL2CacheSize, ordinal) / 1024));
    for (int peer = 0; peer < count; ++peer) {
      int can = 0;
      if (peer != ordinal) device::check(cudaDeviceCanAccessPeer(&can, ordinal, peer), "peer access");
      if (peer != ordinal) benchmark::AddCustomContext(concat("peer access ", ordinal, " to ", peer), can != 0 ? "yes" : "no");
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Kernels are loaded before they are timed, and not beside a collective of another rank.
  ::setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  try {
    const int capability = Cuda().capability();
    add_versions();
    add_devices();
    bench::add_benchmarks(capability);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: error: %s\n", argv[0], error.what());
    return static_cast<int>(error.failure());
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
