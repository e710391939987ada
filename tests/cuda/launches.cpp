// Prints how each kernel is launched: its symbol, threads of a block, bytes of dynamic shared memory. Linked with nvcc's object file of kernels.cu, whose
// device_only/ headers launch nothing, and without CUDA's libraries: nvcc's part of such a file tells CUDA's runtime the kernels' names, here it tells this.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

#include "kernels.hpp"

#include <terse/device/launch.cuh>

namespace {

struct Largest {
  unsigned threads = 0;
  std::size_t shared_bytes = 0;
};

// Filled before main, and in no order with other files' variables.
std::map<const void*, std::string>& symbols() {
  static std::map<const void*, std::string> known;
  return known;
}
std::map<std::string, Largest> launches;

}  // namespace

extern "C" {
void** __cudaRegisterFatBinary(void*) { return nullptr; }
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterVar(void**, char*, char*, const char*, int, std::size_t, int, int) {}
void __cudaRegisterFunction(void**, const char* kernel, char*, const char* symbol, int, void*, void*, void*, void*, int*) { symbols().emplace(kernel, symbol); }
}

void terse::device::launched(const void* kernel, const Launch& shape) {
  Largest& largest = launches[symbols().at(kernel)];
  largest.threads = std::max(largest.threads, shape.threads.x * shape.threads.y * shape.threads.z);
  largest.shared_bytes = std::max(largest.shared_bytes, shape.shared_bytes);
}

int main() {
  terse::Cuda cuda;
  const std::array<std::int32_t, 64> numbers{};
  const std::array<float, 64> weights{};
  const std::array<std::uint32_t, 1> draws{};
  for (const std::size_t rows : {std::size_t{1}, numbers.size()}) {  // some products of one row have a kernel of their own
    terse::PackedBatch batch;
    batch.ids = batch.positions = batch.target_rows = batch.targets = {numbers.data(), rows};
    batch.cu_seqlens = {numbers.data(), 2}, batch.weights = {weights.data(), rows}, batch.draws = draws;
    terse::launch_every_kernel(cuda, batch);
  }
  for (const auto& [symbol, largest] : launches) std::printf("%s %u %zu\n", symbol.c_str(), largest.threads, largest.shared_bytes);
}
