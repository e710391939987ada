// Memory, copies, streams and events do what the runtime API's documentation says.
#include "support/catch.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <thread>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <terse/core/dtype.hpp>
#include <terse/device/cuda_memory.cuh>

#include "hostcuda/self/bugs.cuh"
#include "support/messages.hpp"

using namespace bugs;

namespace {

/// Page-locked floats.
struct Pinned {
  explicit Pinned(std::size_t count) { cudaMallocHost(&values, count * sizeof(float)); }
  ~Pinned() { cudaFreeHost(values); }
  float* values = nullptr;
};

/// The values that `run` gives under 20 seeds, without repeats.
template <class Run>
std::vector<float> outcomes(Run run) {
  std::vector<float> different;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    hostcuda::set_seed(seed);
    const float value = run();
    if (std::find(different.begin(), different.end(), value) == different.end()) different.push_back(value);
  }
  hostcuda::set_seed(0);
  return different;
}

}  // namespace

TEST_CASE("a copy in the wrong direction, or of more than there is, is refused") {
  Bench bench;
  float host[4] = {};
  CHECK(cudaMemcpyAsync(host, bench.output, 16, cudaMemcpyHostToDevice, bench.device.stream()) == cudaErrorInvalidValue);
  CHECK(contains(hostcuda::last_report(), "the target is host memory in a copy host to device"));
  CHECK(cudaMemcpyAsync(bench.output, host, 16, cudaMemcpyDeviceToHost, bench.device.stream()) == cudaErrorInvalidValue);
  CHECK(cudaMemcpyAsync(bench.output + Bench::size - 2, host, 16, cudaMemcpyHostToDevice, bench.device.stream()) == cudaErrorInvalidValue);
  CHECK(contains(hostcuda::last_report(), "target: 16 bytes, but the allocation has 8 from there on"));
  CHECK(cudaMemsetAsync(host, 0, 16, bench.device.stream()) == cudaErrorInvalidValue);
  CHECK(cudaMemcpyAsync(bench.output, host, 16, cudaMemcpyHostToDevice, nullptr) == cudaErrorInvalidResourceHandle);
}

TEST_CASE("pageable memory is copied before the call returns") {
  CHECK(outcomes([] {
          Bench bench;
          float value = 3;
          cudaMemcpyAsync(bench.output, &value, sizeof value, cudaMemcpyHostToDevice, bench.device.stream());
          value = 4;
          cudaMemcpyAsync(&value, bench.output, sizeof value, cudaMemcpyDeviceToHost, bench.device.stream());
          return value;
        }) == std::vector<float>{3});
}

TEST_CASE("page-locked memory is copied when the stream comes to it") {
  CHECK(outcomes([] {
          Bench bench;
          const Pinned pinned(1);
          *pinned.values = 3;
          cudaMemcpyAsync(bench.output, pinned.values, sizeof(float), cudaMemcpyHostToDevice, bench.device.stream());
          *pinned.values = 4;   // too early
          return bench.device.read(bench.output, 1)[0];
        }) == std::vector<float>{4});
  Bench bench;
  const Pinned pinned(1);
  *pinned.values = 9;
  cudaMemcpyAsync(pinned.values, bench.output, sizeof(float), cudaMemcpyDeviceToHost, bench.device.stream());
  CHECK(*pinned.values == 9);   // nobody waited
  cudaStreamSynchronize(bench.device.stream());
  CHECK(*pinned.values == -1);
}

TEST_CASE("cudaMemcpy doesn't wait for streams that are cudaStreamNonBlocking") {
  const auto value_after = [](unsigned flags) {
    return outcomes([flags] {
      Bench bench;
      bench.device.verdict();
      cudaStream_t stream = nullptr;
      cudaStreamCreateWithFlags(&stream, flags);
      launch(stream, fill, {1, threads}, bench.output, 1, 5.0f);
      float value = 0;
      cudaMemcpy(&value, bench.output, sizeof value, cudaMemcpyDeviceToHost);
      cudaStreamDestroy(stream);
      return value;
    });
  };
  CHECK(value_after(cudaStreamDefault) == std::vector<float>{5});
  CHECK(value_after(cudaStreamNonBlocking).size() == 2);
}

TEST_CASE("memory that is full") {
  hostcuda::set_memory(1 << 20);
  std::size_t free = 0, total = 0;
  void* first = nullptr;
  CHECK(cudaMalloc(&first, (1 << 19) + 1) == cudaSuccess);
  CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess);
  CHECK(total == 1 << 20);
  CHECK(free == (1 << 19) - 256);
  CHECK(contains(message_of([] { terse::CudaMemory(1 << 19); }), "cuda:0 out of memory: 524288 bytes needed, 524032 of 1048576 free"));
  CHECK(cudaFree(first) == cudaSuccess);
  CHECK(hostcuda::memory_used(0) == 0);
  CHECK(hostcuda::peak_memory_used(0) == (1 << 19) + 256);
  hostcuda::set_memory(std::size_t{15} << 30);
  CHECK(cudaMalloc(&first, std::size_t{8} << 30) == cudaSuccess);   // costs nothing until it is used
  CHECK(cudaFree(first) == cudaSuccess);
  hostcuda::reset();
}

TEST_CASE("freeing what queued work uses") {
  Device device;
  float *values = nullptr, *pinned = nullptr;
  cudaMalloc(&values, 400);
  launch(device.stream(), fill, {1, threads}, values, 100, 1.0f);
  CHECK(cudaFree(values) == cudaErrorIllegalAddress);
  CHECK(contains(hostcuda::last_report(), "memory is freed that queued work uses: kernel bugs::fill"));
  CHECK(cudaStreamSynchronize(device.stream()) == cudaErrorIllegalAddress);
  hostcuda::reset();
  cudaMalloc(&values, 400);
  cudaMallocHost(&pinned, 400);
  cudaMemcpyAsync(values, pinned, 400, cudaMemcpyHostToDevice, device.stream());
  CHECK(cudaFreeHost(pinned) == cudaErrorIllegalAddress);
  hostcuda::reset();
  CHECK(cudaFree(values) == cudaSuccess);
  CHECK(cudaFree(values) == cudaErrorInvalidValue);
  CHECK(cudaFree(nullptr) == cudaSuccess);
}

TEST_CASE("an error in a kernel stays, and says what happened") {
  Bench bench;
  bench.run(write_at, 1, 32, 0, bench.output, 1 << 28);
  CHECK(cudaStreamSynchronize(bench.device.stream()) == cudaErrorIllegalAddress);
  CHECK(contains(cudaGetErrorString(cudaErrorIllegalAddress), "an illegal memory access was encountered (bugs::write_at: block (0,0,0) thread (0,0,0): illegal address"));
  CHECK(cudaGetLastError() == cudaErrorIllegalAddress);
  CHECK(cudaGetLastError() == cudaErrorIllegalAddress);
  void* more = nullptr;
  CHECK(cudaMalloc(&more, 4) == cudaErrorIllegalAddress);
  cudaSetDevice(1);
  CHECK(cudaMalloc(&more, 4) == cudaSuccess);
  CHECK(cudaFree(more) == cudaSuccess);
  cudaSetDevice(0);
}

TEST_CASE("an error of a call is told once") {
  void* more = nullptr;
  hostcuda::set_memory(1000);
  CHECK(cudaMalloc(&more, 2000) == cudaErrorMemoryAllocation);
  hostcuda::set_memory(std::size_t{15} << 30);
  CHECK(cudaPeekAtLastError() == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(std::string(cudaGetErrorString(cudaErrorInvalidDevice)) == "invalid device ordinal");
  CHECK(cudaSetDevice(2) == cudaErrorInvalidDevice);
  CHECK(cudaGetLastError() == cudaErrorInvalidDevice);
}

TEST_CASE("events") {
  Bench bench;
  bench.device.verdict();
  cudaEvent_t begin = nullptr, end = nullptr;
  cudaEventCreate(&begin), cudaEventCreate(&end);
  CHECK(cudaEventQuery(begin) == cudaSuccess);   // never recorded
  cudaEventRecord(begin, bench.device.stream());
  bench.run(fill, 8, threads, 0, bench.output, 1024, 2.0f);
  cudaEventRecord(end, bench.device.stream());
  CHECK(cudaEventQuery(end) == cudaErrorNotReady);
  CHECK(cudaEventSynchronize(end) == cudaSuccess);
  CHECK(cudaStreamQuery(bench.device.stream()) == cudaSuccess);
  float milliseconds = -1;
  CHECK(cudaEventElapsedTime(&milliseconds, begin, end) == cudaSuccess);
  CHECK(milliseconds > 0);
  cudaSetDevice(1);
  cudaStream_t elsewhere = nullptr;
  cudaStreamCreateWithFlags(&elsewhere, cudaStreamNonBlocking);
  CHECK(cudaStreamWaitEvent(elsewhere, end) == cudaSuccess);
  CHECK(cudaEventRecord(end, elsewhere) == cudaErrorInvalidResourceHandle);
  CHECK(cudaStreamSynchronize(elsewhere) == cudaSuccess);
  CHECK(cudaStreamDestroy(elsewhere) == cudaSuccess);
  CHECK(cudaStreamDestroy(elsewhere) == cudaErrorInvalidResourceHandle);
  cudaSetDevice(0);
  cudaEventDestroy(begin), cudaEventDestroy(end);
  CHECK(cudaEventRecord(end, bench.device.stream()) == cudaErrorInvalidResourceHandle);
}

TEST_CASE("two host threads, a device each") {
  std::vector<float> results(2);
  const auto rank = [&results](int device) {
    cudaSetDevice(device);
    Bench bench;
    for (int i = 0; i < 20; ++i) {
      bench.run(sum_by_halves<0>, 1, threads, sizeof(Values), bench.output, bench.input);
      results[static_cast<std::size_t>(device)] += bench.device.read(bench.output, 1)[0];
    }
  };
  std::thread other(rank, 1);
  rank(0);
  other.join();
  CHECK(results == std::vector<float>{20 * 8128, 20 * 8128});
}

TEST_CASE("where an address lies") {
  Bench bench;
  const Pinned pinned(4);
  float host = 0;
  cudaPointerAttributes attributes{};
  CHECK(cudaPointerGetAttributes(&attributes, bench.output + 3) == cudaSuccess);
  CHECK((attributes.type == cudaMemoryTypeDevice && attributes.device == 0));
  CHECK(cudaPointerGetAttributes(&attributes, pinned.values) == cudaSuccess);
  CHECK((attributes.type == cudaMemoryTypeHost && attributes.hostPointer == pinned.values));
  CHECK(cudaPointerGetAttributes(&attributes, &host) == cudaSuccess);
  CHECK(attributes.type == cudaMemoryTypeUnregistered);
}

TEST_CASE("16-bit numbers have the library's bits") {
  std::size_t different = 0;
  for (std::uint32_t bits = 0; bits < 1u << 16; ++bits) {
    const auto word = static_cast<std::uint16_t>(bits);
    const float h = __half2float(__ushort_as_half(word)), b = __bfloat162float(__ushort_as_bfloat16(word));
    const float ours = float(std::bit_cast<terse::half>(word));
    different += std::bit_cast<std::uint32_t>(h) != std::bit_cast<std::uint32_t>(ours) && !(std::isnan(h) && std::isnan(ours));
    different += std::bit_cast<std::uint32_t>(b) != std::bit_cast<std::uint32_t>(float(std::bit_cast<terse::bfloat16>(word)));
  }
  for (std::uint64_t i = 0; i < 1u << 20; ++i) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(i * 4099));
    different += __float2half_rn(value).bits != terse::half(value).bits;
    different += __float2bfloat16_rn(value).bits != terse::bfloat16(value).bits;
  }
  CHECK(different == 0);
}
