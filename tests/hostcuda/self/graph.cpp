// Graphs: what is captured runs when it is launched, as often as it is; and what a capture can't hold.
#include <string>

#include <cublasLt.h>
#include <terse/device/handles.cuh>

#include "hostcuda/self/bugs.cuh"
#include "support/catch.hpp"
#include "support/messages.hpp"

using namespace bugs;
using terse::device::Graph;

namespace {

constexpr unsigned count = 4 * threads;

__global__ void add_one(float* values) { values[blockIdx.x * threads + threadIdx.x] += 1; }

}  // namespace

TEST_CASE("a graph runs when it is launched, each time, in the order in which it was captured") {
  for (const std::uint64_t seed : hostcuda::seeds()) {
    hostcuda::set_seed(seed);
    Device device;
    float* const values = device.allocate<float>(count);
    const Graph graph(device.stream(), [&] {
      launch(device.stream(), add_one, {4, threads}, values);
      launch(device.stream(), add_one, {4, threads}, values);
    });
    launch(device.stream(), fill, {4, threads}, values, count, 1.0f);  // the capture queued nothing: this comes first
    graph.launch(device.stream());
    graph.launch(device.stream());
    CHECK(device.read(values, count) == std::vector<float>(count, 5.0f));
    CHECK(hostcuda::statistics().graphs == 2);
  }
  hostcuda::set_seed(0);
}

TEST_CASE("what a capture can't hold ends it, and the stream goes on") {
  Device device;
  float* const values = device.allocate<float>(count);
  float* pinned = nullptr;
  cudaMallocHost(&pinned, sizeof(float));
  float pageable = 1;
  void* memory = nullptr;
  cudaEvent_t event = nullptr;
  cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  const auto capture = [&](auto&& call) {
    cudaError_t status = cudaSuccess;
    const std::string message = message_of([&] { Graph(device.stream(), [&] { status = call(); }); });
    CHECK(contains(message, "cudaStreamEndCapture"));
    return status;
  };
  CHECK(capture([&] { return cudaStreamSynchronize(device.stream()); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(capture([&] { return cudaDeviceSynchronize(); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(capture([&] { return cudaMalloc(&memory, 4); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(capture([&] { return cudaFree(values); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(capture([&] { return cudaMemcpyAsync(values, &pageable, sizeof pageable, cudaMemcpyHostToDevice, device.stream()); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(capture([&] { return cudaMemcpyAsync(&pageable, values, sizeof pageable, cudaMemcpyDeviceToHost, device.stream()); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(capture([&] { return cudaEventRecord(event, device.stream()); }) == cudaErrorStreamCaptureUnsupported);
  CHECK(capture([&] { return cudaStreamWaitEvent(device.stream(), event); }) == cudaErrorStreamCaptureUnsupported);

  const Graph from_pinned(device.stream(), [&] { CHECK(cudaMemcpyAsync(values, pinned, sizeof(float), cudaMemcpyHostToDevice, device.stream()) == cudaSuccess); });
  *pinned = 7;  // read when the graph runs
  from_pinned.launch(device.stream());
  CHECK(device.read(values, 1) == std::vector<float>{7});
  cudaEventDestroy(event);
  cudaFreeHost(pinned);
}

TEST_CASE("an exception while a stream is captured ends the capture") {
  Device device;
  CHECK(message_of([&] { Graph(device.stream(), [] { throw std::runtime_error("a mistake"); }); }) == "a mistake");
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusActive;
  CHECK(cudaStreamIsCapturing(device.stream(), &status) == cudaSuccess);
  CHECK(status == cudaStreamCaptureStatusNone);
}

TEST_CASE("a graph whose memory was freed isn't launched") {
  Device device;
  float* values = nullptr;
  cudaMalloc(&values, count * sizeof(float));
  const Graph graph(device.stream(), [&] { launch(device.stream(), add_one, {4, threads}, values); });
  CHECK(cudaFree(values) == cudaSuccess);
  CHECK(contains(message_of([&] { graph.launch(device.stream()); }), "cudaGraphLaunch"));
  CHECK(contains(hostcuda::last_report(), "which was freed since it was captured"));
}

TEST_CASE("cuBLASLt's heuristic isn't asked while a stream is captured") {
  Device device;
  cublasLtHandle_t handle = nullptr;
  REQUIRE(cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS);
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t square = nullptr;
  cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  cublasLtMatrixLayoutCreate(&square, CUDA_R_32F, 8, 8, 8);
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  const auto ask = [&] { return cublasLtMatmulAlgoGetHeuristic(handle, product, square, square, square, square, nullptr, 1, &result, &found); };
  CHECK(ask() == CUBLAS_STATUS_SUCCESS);
  const Graph graph(device.stream(), [&] { CHECK(ask() == CUBLAS_STATUS_INTERNAL_ERROR); });
  cublasLtMatrixLayoutDestroy(square), cublasLtMatmulDescDestroy(product), cublasLtDestroy(handle);
}
