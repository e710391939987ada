#pragma once
// Kernels with one mistake each, and what the machine says of them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <cub/block/block_reduce.cuh>
#include <terse/device/bounds.cuh>
#include <terse/device/ptx.cuh>
#include <terse/device/shared.cuh>

#include "hostcuda/self/device.hpp"

namespace bugs {

using terse::device::launch;
using terse::device::shared;

constexpr int threads = 128;
struct Values {
  float first[threads], second[threads];
};
struct Words {
  alignas(16) std::uint16_t word[64];
};

// A sum by halves. `missing`: which barrier isn't there.
constexpr int line_of_barrier = __LINE__ + 6;
template <int missing>
__global__ void sum_by_halves(float* sum, const float* values) {
  auto& s = shared<Values>();
  const unsigned t = threadIdx.x;
  s.first[t] = values[t];
  if constexpr (missing != 1) __syncthreads();
  for (unsigned half = threads / 2; half >= 32; half /= 2) {
    if (t < half) s.first[t] += s.first[t + half];
    if constexpr (missing != 2) __syncthreads();
  }
  for (unsigned half = 16; t < 32 && half > 0; half /= 2) {
    if (t < half) s.first[t] += s.first[t + half];
    if constexpr (missing != 3) __syncwarp();
  }
  if (t == 0) s.second[0] = s.first[0];
  if constexpr (missing != 4) __syncthreads();
  if (t == threads - 1) *sum = s.second[0];
}

struct CubShared {
  cub::BlockReduce<float, threads>::TempStorage storage;
};
__global__ void storage_used_twice(float* sum, const float* values) {
  auto& s = shared<CubShared>();
  const float a = cub::BlockReduce<float, threads>(s.storage).Sum(values[threadIdx.x]);
  const float b = cub::BlockReduce<float, threads>(s.storage).Sum(2 * values[threadIdx.x]);
  if (threadIdx.x == 0) *sum = a + b;
}

__global__ void lost_update(float* value) { *value += 1; }
__global__ void race_between_blocks(float* value) {
  if (threadIdx.x == 0) *value = static_cast<float>(blockIdx.x);
}

__global__ void divergent_barrier(float* values) {
  if (threadIdx.x < 32) __syncthreads();
  else values[threadIdx.x] = 1;
  __syncthreads();
}
__global__ void barrier_against_warp(float* values) {
  if (threadIdx.x % 32 < 16) __syncwarp();
  else __syncthreads();
  values[threadIdx.x] = 1;
}
__global__ void not_in_mask(float* values) { values[threadIdx.x] = __shfl_xor_sync(0xFFFFu, 1.0f, 1); }
__global__ void overlapping_masks(float* values) {
  if (threadIdx.x % 32 < 16) values[threadIdx.x] = __shfl_xor_sync(0x1FFFFu, 1.0f, 1);
  else values[threadIdx.x] = __shfl_xor_sync(0xFFFF0000u, 1.0f, 1);
}
__global__ void different_operations(float* values) {
  if (threadIdx.x % 32 < 16) values[threadIdx.x] = __shfl_xor_sync(~0u, 1.0f, 1);
  else values[threadIdx.x] = static_cast<float>(__any_sync(~0u, 1));
}
__global__ void from_outside_the_mask(float* values) {
  if (threadIdx.x < 16) values[threadIdx.x] = __shfl_sync(0xFFFFu, 1.0f, 20);
}

__global__ void write_at(float* values, int index) {
  if (threadIdx.x == 0) values[index] = 7;
}
constexpr int line_of_check = __LINE__ + 3;
__global__ void fill(float* values, int size, float value) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (terse::device::inside(i, size)) values[i] = value;
}
__global__ void copy_values(float* to, const float* from, int size) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < size) to[i] = from[i];
}
__global__ void shared_at(float* values, int index) {
  auto& s = shared<Values>();
  s.first[index] = 1;
  __syncthreads();
  values[threadIdx.x] = s.second[threadIdx.x];
}
__global__ void behind_shared(float* values, int index) {
  auto& s = shared<Values>();
  (&s.second[0])[index] = 1;
  values[threadIdx.x] = 1;
}
__global__ void misaligned_float4(float* values) {
  const float4 four = *reinterpret_cast<const float4*>(values + 1 + 4 * threadIdx.x);
  values[0] = four.x;
}
__global__ void misaligned_row(float* values) {
  auto& s = shared<Words>();
  std::uint32_t word[1];
  terse::device::ldmatrix(word, &s.word[threadIdx.x % 8 * 8 + 1]);
  values[threadIdx.x] = static_cast<float>(word[0]);
}
__global__ void product_of_bfloat16(float* values) {
  float sum[4] = {};
  const std::uint32_t a[4] = {}, b[2] = {};
  terse::device::mma<terse::bfloat16>(sum, a, b);
  values[threadIdx.x] = sum[0];
}
__global__ void endless_recursion(float* values, int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  if (depth > 0) endless_recursion(values, depth - 1);
  values[0] = room[0];
}
template <bool waits>
__global__ void copy_in_background(float* to, const float* from) {
  auto& s = shared<Values>();
  if (threadIdx.x < threads / 4) terse::device::copy_async_16(&s.first[threadIdx.x * 4], from + threadIdx.x * 4);
  terse::device::commit_copies();
  if constexpr (waits) terse::device::wait_for_copies<0>();
  __syncthreads();
  to[threadIdx.x] = s.first[threadIdx.x];
}

/// The tests' own device: input counts 0, 1, …; output holds -1.
struct Bench {
  static constexpr int size = 4096;
  Device device;
  float* input = device.copy(counting(size));
  float* output = device.copy(std::vector<float>(size, -1.0f));

  template <class... Parameters>
  void run(void (*kernel)(Parameters...), unsigned blocks, unsigned block, std::size_t bytes, std::type_identity_t<Parameters>... arguments) {
    launch(device.stream(), kernel, {blocks, block, bytes}, arguments...);
  }
  /// What the machine says; else whether the first value of the output is wrong, NaN or right ("").
  std::string verdict(float expected) {
    if (const std::string words = device.verdict(); !words.empty()) return words;
    const float found = device.read(output, 1)[0];
    return found != found ? "NaN" : found != expected ? "wrong result" : "";
  }
};

inline void copy_beside(Bench& bench, bool waits) {
  cudaStream_t other = nullptr;
  cudaEvent_t filled = nullptr;
  cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
  cudaEventCreateWithFlags(&filled, cudaEventDisableTiming);
  bench.device.verdict();
  bench.run(fill, 8, threads, 0, bench.input, 1024, 5.0f);
  cudaEventRecord(filled, bench.device.stream());
  if (waits) cudaStreamWaitEvent(other, filled);
  launch(other, copy_values, {8, threads}, bench.output, bench.input, 1024);
  cudaEventDestroy(filled);
  cudaStreamDestroy(other);
}

/// Runs the mistake of that name; what was found, empty if nothing.
inline std::string found(std::string_view name) {
  Bench bench;
  constexpr std::size_t bytes = sizeof(Values);
  constexpr float sum = 8128;
  const auto halves = [&](auto kernel) { return bench.run(kernel, 1, threads, bytes, bench.output, bench.input), bench.verdict(sum); };
  if (name == "no mistake") return halves(sum_by_halves<0>);
  if (name == "no barrier after the load") return halves(sum_by_halves<1>);
  if (name == "no barrier in the loop") return halves(sum_by_halves<2>);
  if (name == "no barrier in the warp") return halves(sum_by_halves<3>);
  if (name == "no barrier before the result is read") return halves(sum_by_halves<4>);
  if (name == "storage used twice") return bench.run(storage_used_twice, 1, threads, sizeof(CubShared), bench.output, bench.input), bench.verdict(3 * sum);
  if (name == "lost update") return bench.run(lost_update, 1, threads, 0, bench.output), bench.verdict(threads - 1);
  if (name == "race between blocks") return bench.run(race_between_blocks, 4, 32, 0, bench.output), bench.verdict(3);
  if (name == "no event wait") return copy_beside(bench, false), bench.verdict(5);
  if (name == "event wait") return copy_beside(bench, true), bench.verdict(5);
  if (name == "no wait for copies") return bench.run(copy_in_background<false>, 1, threads, bytes, bench.output, bench.input), bench.verdict(0);
  if (name == "wait for copies") return bench.run(copy_in_background<true>, 1, threads, bytes, bench.output, bench.input), bench.verdict(0);
  if (name == "index past an array in shared memory") return bench.run(shared_at, 1, threads, bytes, bench.output, threads), bench.verdict(1);
  if (name == "misaligned float4") return bench.run(misaligned_float4, 1, 32, 0, bench.input), bench.verdict(-1);
  if (name == "one past the end") {
    auto* const values = bench.device.allocate<float>(100);
    bench.run(write_at, 1, 32, 0, values, 100);
    cudaDeviceSynchronize();
    cudaFree(values);
    return bench.device.verdict();
  }
  if (name == "use after free") {
    auto* const values = bench.device.allocate<float>(100);
    auto* const inside = bench.device.copy(std::vector<float*>{values});
    bench.device.verdict();
    cudaFree(values);
    launch(bench.device.stream(), +[](float** pointer) { **pointer = 1; }, {1, 32}, inside);
    return bench.device.verdict();
  }
  if (name == "the host reads device memory") {
    bench.device.verdict();
    return *static_cast<volatile float*>(bench.output) == -1 ? "" : "another value";
  }
  return "no mistake of that name";
}

}  // namespace bugs
