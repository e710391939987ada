#pragma once
/// A GPU as a device: the first argument of every op, as device/cpu.hpp's Cpu.

#include <cstddef>
#include <utility>

#include <cuda_runtime.h>

#include <terse/core/error.hpp>
#include <terse/device/check.cuh>
#include <terse/device/cublaslt.cuh>
#include <terse/device/cuda_memory.cuh>
#include <terse/device/handles.cuh>
#include <terse/device/isa.hpp>
#include <terse/device/pages.hpp>
#include <terse/device/poll.cuh>

namespace terse::inline TERSE_ISA {

/// One rank's GPU: a stream that its ops run on in order, others for copies and for sums over ranks beside them, cuBLASLt's plans and workspace.
///
/// An op queues its work and returns; nothing waits but `synchronize`, `copy_to_host` and the freeing of memory. Belongs to the thread that made it,
/// whose current device it sets. Not shared between ranks; not copyable.
class Cuda {
 public:
  using Memory = CudaMemory;
  /// cuBLASLt's workspace.
  static constexpr std::size_t library_bytes(int capability) { return device::MatmulPlans::workspace_bytes(capability); }
  /// An op is queued when it returns.
  static constexpr bool runs_behind = true;

  /// The GPU numbered `ordinal` of those that CUDA shows.
  /// Errors     Failure::device: there is no such GPU, or the driver doesn't run
  explicit Cuda(int ordinal = 0) : ordinal_(selected(ordinal)), capability_(capability_of(ordinal)), matmul_(capability_) {}
  Cuda(const Cuda&) = delete;
  Cuda& operator=(const Cuda&) = delete;

  int ordinal() const { return ordinal_; }
  /// Compute capability, ten times the major number plus the minor one: 75 for a T4.
  int capability() const { return capability_; }
  /// True where tensor cores multiply bfloat16.
  bool multiplies_bfloat16() const { return capability_ >= 80; }

  /// What ops run on, in order.
  cudaStream_t stream() const { return stream_.get(); }
  /// For copies that run beside the ops; events order the two.
  cudaStream_t copy_stream() const { return copy_stream_.get(); }
  /// For sums over ranks, which run beside the ops; events order the two.
  cudaStream_t sums_stream() const { return sums_stream_.get(); }
  /// C = op(A) op(B) (+ C) of `shape`; while the device rehearses, only its plan is made. True where `bias`, if there is one, was added to each row.
  template <class In, class Out>
  bool multiply(const GemmShape& shape, const In* a, const In* b, Out* c, const Out* bias = nullptr) {
    if (!rehearses_) return matmul_.multiply(stream(), shape, a, b, c, bias);
    if (shape.m > 0 && shape.n > 0) matmul_.plan(shape, a, b, c, bias);
    return true;
  }
  /// Matrix products that have a plan.
  std::size_t planned_products() const { return matmul_.size(); }

  /// While it lives, ops queue nothing and touch no memory, but plan their matrix products: a loop whose sizes were rehearsed finds each plan made. Kernels of one's
  /// own take part where they are launched by device::launch(cuda, …).
  class Rehearsal {
   public:
    explicit Rehearsal(Cuda& cuda) : cuda_(&cuda) { cuda.rehearses_ = true; }
    ~Rehearsal() { cuda_->rehearses_ = false; }
    Rehearsal(const Rehearsal&) = delete;
    Rehearsal& operator=(const Rehearsal&) = delete;

   private:
    Cuda* cuda_;
  };
  bool rehearses() const { return rehearses_; }

  /// Uninitialised memory of the GPU.
  /// Errors     Failure::device: there is none left
  Memory allocate(std::size_t bytes, Pages = Pages::huge) { return Memory(bytes); }

  /// Sets aside `bytes` for ops that need room (partial sums, sorting); called before the loop, with the plan's number.
  void reserve_workspace(std::size_t bytes) {
    if (bytes <= workspace_.bytes()) return;
    workspace_ = Memory();  // not both at a time
    workspace_ = Memory(bytes);
  }
  /// The first `bytes` of what was reserved; one op at a time uses it.
  /// Errors     Failure::internal: less was reserved
  std::byte* workspace(std::size_t bytes) const {
    if (bytes > workspace_.bytes())
      fail(Failure::internal, "cuda workspace of ", workspace_.bytes(), " bytes is too small: ", bytes, " needed; reserve_workspace first");
    return workspace_.data();
  }
  /// CPU ops ask for scratch of each thread; kernels have their own.
  void reserve_thread_scratch(std::size_t) {}

  /// Waits for all that was queued.
  /// Errors     Failure::device: a kernel or copy since the last call went wrong; what the watch throws
  void synchronize() const { wait_for(copy_stream()), wait_for(sums_stream()), wait_for(stream()); }
  /// Waits for what was queued on a stream, as `synchronize`.
  void wait_for(cudaStream_t stream) const {
    if (!watch_) return device::check(cudaStreamSynchronize(stream), "kernels and copies");
    device::check(cudaEventRecord(waited_for_.get(), stream), "cudaEventRecord");
    wait_for(waited_for_);
  }
  /// Waits for the newest record of an event, as `synchronize`.
  void wait_for(const device::Event& event) const {
    if (!watch_) return device::check(cudaEventSynchronize(event.get()), "kernels and copies");
    device::poll([&] { return device::is_done(event); }, watch_);
  }
  /// While the CPU waits for the GPU, `watch` hears now and then for how long it has; where it throws, nothing is waited for any more. For what may never end: a sum with a rank
  /// that is gone. An empty one: none.
  void watch(device::Watch watch) { watch_ = std::move(watch); }
  /// Sets bytes of the GPU's memory, to zero if nothing else is said, in order with the ops.
  void clear(void* memory, std::size_t bytes, std::byte value = {}) const {
    if (!rehearses_) device::check(cudaMemsetAsync(memory, std::to_integer<int>(value), bytes, stream()), "cudaMemsetAsync");
  }
  /// From the CPU's memory to the GPU's, in order with the ops; `from` may change after the call.
  void copy_from_host(void* to, const void* from, std::size_t bytes) const {
    if (!rehearses_) device::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), "copy to the GPU");
  }
  /// From the GPU's memory to the CPU's, after all ops queued so far; waits for it.
  void copy_to_host(void* to, const void* from, std::size_t bytes) const {
    device::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), "copy from the GPU");
    wait_for(stream());
  }

 private:
  static int selected(int ordinal) {
    int count = 0;
    if (const auto status = cudaGetDeviceCount(&count); status != cudaSuccess && status != cudaErrorNoDevice)
      fail(Failure::device, "no GPU can be used: ", cudaGetErrorString(status));
    if (ordinal < 0 || ordinal >= count) fail(Failure::device, "cuda:", ordinal, " is not there: ", count, count == 1 ? " GPU" : " GPUs", " found");
    device::check(cudaSetDevice(ordinal), "cudaSetDevice");
    return ordinal;
  }
  static int capability_of(int ordinal) {
    int major = 0, minor = 0;
    device::check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal), "compute capability");
    device::check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, ordinal), "compute capability");
    return 10 * major + minor;
  }

  int ordinal_, capability_;
  device::Stream stream_, copy_stream_, sums_stream_;
  device::Event waited_for_;
  device::Watch watch_;
  device::MatmulPlans matmul_;
  Memory workspace_;
  bool rehearses_ = false;
};

}  // namespace terse::inline TERSE_ISA
