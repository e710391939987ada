#pragma once
/// What CUDA gives as handles and addresses, owned: freed with the object, movable, not copyable.

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include <cuda_runtime.h>

#include <terse/device/check.cuh>

namespace terse::device {

namespace detail {

template <auto destroy>
struct Destroy {
  void operator()(auto handle) const { static_cast<void>(destroy(handle)); }
};
template <class Handle, auto destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<destroy>>;

}  // namespace detail

/// A stream that doesn't wait for the legacy default stream.
class Stream {
 public:
  Stream() {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    stream_.reset(stream);
  }
  cudaStream_t get() const { return stream_.get(); }

 private:
  detail::Owned<cudaStream_t, cudaStreamDestroy> stream_;
};

/// A point in a stream's work that others can wait for.
template <unsigned flags>
class BasicEvent {
 public:
  BasicEvent() {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, flags), "cudaEventCreateWithFlags");
    event_.reset(event);
  }
  cudaEvent_t get() const { return event_.get(); }

 private:
  detail::Owned<cudaEvent_t, cudaEventDestroy> event_;
};
/// Takes no times; who waits for it sleeps: cores are few.
using Event = BasicEvent<cudaEventDisableTiming | cudaEventBlockingSync>;
/// Its times are compared by cudaEventElapsedTime.
using TimedEvent = BasicEvent<cudaEventDefault>;

/// What `record` queues on a stream, to be queued again as a whole. Other threads may take memory meanwhile, but not wait for this GPU.
class Graph {
 public:
  template <class Record>
  Graph(cudaStream_t stream, Record&& record) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    try {
      record();
    } catch (...) {
      static_cast<void>(end_capture(stream));
      static_cast<void>(cudaGetLastError());
      throw;
    }
    const Captured graph = end_capture(stream);
    check(graph.status, "cudaStreamEndCapture");
    cudaGraphExec_t executable = nullptr;
    check(cudaGraphInstantiate(&executable, graph.graph.get(), 0), "cudaGraphInstantiate");
    executable_.reset(executable);
    check(cudaGraphUpload(executable, stream), "cudaGraphUpload");
  }
  void launch(cudaStream_t stream) const { check(cudaGraphLaunch(executable_.get(), stream), "cudaGraphLaunch"); }

 private:
  struct Captured {
    detail::Owned<cudaGraph_t, cudaGraphDestroy> graph;
    cudaError_t status;
  };
  static Captured end_capture(cudaStream_t stream) {
    cudaGraph_t graph = nullptr;
    const cudaError_t status = cudaStreamEndCapture(stream, &graph);
    return {detail::Owned<cudaGraph_t, cudaGraphDestroy>(graph), status};
  }

  detail::Owned<cudaGraphExec_t, cudaGraphExecDestroy> executable_;
};

/// Host memory that devices copy from and to while the CPU goes on. Page-locked: it is never swapped out, so there is little of it.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  explicit PinnedMemory(std::size_t bytes) : bytes_(bytes) {
    void* memory = nullptr;
    check(cudaHostAlloc(&memory, bytes == 0 ? 1 : bytes, cudaHostAllocPortable), "cudaHostAlloc");
    memory_.reset(static_cast<std::byte*>(memory));
  }
  std::byte* data() const { return memory_.get(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { static_cast<void>(cudaFreeHost(memory)); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t bytes_ = 0;
};

}  // namespace terse::device
