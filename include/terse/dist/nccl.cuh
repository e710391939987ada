#pragma once
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <span>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#if defined(TERSE_WITH_NCCL)
#include <nccl.h>
#endif

#include <terse/core/error.hpp>
#include <terse/device/cuda.cuh>
#include <terse/device/handles.cuh>
#include <terse/device/poll.cuh>
#include <terse/dist/collective.hpp>
#include <terse/dist/trace.cuh>

namespace terse::dist {

#if defined(TERSE_WITH_NCCL)

namespace detail {

template <class T>
constexpr ncclDataType_t nccl_type() {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, bfloat16>, "terse: ranks add up float, double and bfloat16");
  return std::is_same_v<T, float> ? ncclFloat32 : std::is_same_v<T, double> ? ncclFloat64 : ncclBfloat16;
}

}  // namespace detail

/// NCCL between GPUs, one a rank, on the stream of sums, ordered with the ops by events. The communicator brings the ranks together, and keeps ranks that are threads of one process in step: a
/// thread that ran ahead could fill the queue of launches and block the one it waits for.
///
/// NCCL is asked for nothing that blocks, and while the CPU waits for the GPU the other ranks are looked after: where one fails, what was queued is aborted, and the wait ends with Failure::rank.
///
/// Errors     Failure::device: NCCL's own text, e.g. that two ranks have the same GPU; Failure::rank: another rank failed
template <>
class Collective<Cuda> {
 public:
  Collective(Cuda& cuda, Communicator& communicator) : cuda_(&cuda), communicator_(&communicator) {
    if (communicator.size() == 1) return;
    ncclUniqueId id{};
    if (communicator.is_first()) check(ncclGetUniqueId(&id), "ncclGetUniqueId");
    communicator.broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    try {
      finish(ncclCommInitRankConfig(&comm_, communicator.size(), id, communicator.rank(), &config), "ncclCommInitRankConfig");
    } catch (...) {
      abort();
      throw;
    }
    cuda.watch([this](std::chrono::milliseconds waited) { look_around(waited); });
  }
  Collective(const Collective&) = delete;
  Collective& operator=(const Collective&) = delete;
  /// Where an exception ends this rank, collectives that others don't come to end too.
  ~Collective() {
    if (comm_ == nullptr) return;
    cuda_->watch({});
    if (std::uncaught_exceptions() > exceptions_) {
      abort();
    } else {
      static_cast<void>(cudaStreamSynchronize(cuda_->sums_stream()));
      static_cast<void>(ncclCommDestroy(comm_));
    }
  }

  /// values[i] becomes its sum over ranks; only queued.
  template <class T>
  void all_reduce(T* values, Index n) {
    begin_all_reduce(values, n, nullptr), wait();
  }
  /// The same beside the ops that are queued until `wait`, which mustn't use the values.
  template <class T>
  void begin_all_reduce(T* values, Index n, Trace<Cuda>* trace) {
    const auto count = static_cast<std::size_t>(n);
    begin(trace, count * sizeof(T), "all-reduce", [&] { return ncclAllReduce(values, values, count, detail::nccl_type<T>(), ncclSum, comm_, cuda_->sums_stream()); });
  }
  /// The same, but only this rank's slice becomes sums, where slices are equally long: NCCL knows no others.
  template <class T>
  void begin_reduce_scatter(T* values, Index n, Trace<Cuda>* trace) {
    const auto count = static_cast<std::size_t>(n);
    if (!slices_are_equal(count)) return begin_all_reduce(values, n, trace);
    const Slice mine = communicator_->slice(count, communicator_->rank());
    begin(trace, count * sizeof(T), "reduce-scatter", [&] {
      return ncclReduceScatter(values, values + mine.first, mine.size(), detail::nccl_type<T>(), ncclSum, comm_, cuda_->sums_stream());
    });
  }
  /// Every rank takes each rank's slice from it; only queued.
  template <class T>
  void gather_slices(T* values, Index n) {
    const auto count = static_cast<std::size_t>(n);
    if (slices_are_equal(count)) {
      const Slice mine = communicator_->slice(count, communicator_->rank());
      begin(nullptr, 0, "all-gather", [&] { return ncclAllGather(values + mine.first, values, mine.size() * sizeof(T), ncclChar, comm_, cuda_->sums_stream()); });
    } else {
      for (int r = 0; r < communicator_->size(); ++r)
        if (const Slice theirs = communicator_->slice(count, r); theirs.size() > 0)
          begin(nullptr, 0, "broadcast", [&] {
            return ncclBroadcast(values + theirs.first, values + theirs.first, theirs.size() * sizeof(T), ncclChar, r, comm_, cuda_->sums_stream());
          });
    }
    wait();
  }
  /// Every rank takes rank 0's; only queued.
  template <class T>
  void broadcast(T* values, Index n) {
    const auto bytes = static_cast<std::size_t>(n) * sizeof(T);
    begin(nullptr, bytes, "broadcast", [&] { return ncclBroadcast(values, values, bytes, ncclChar, 0, comm_, cuda_->sums_stream()); }), wait();
  }
  /// Ops that are queued from here on wait for what was begun.
  void wait() {
    if (comm_ == nullptr) return;
    device::check(cudaEventRecord(summed_.get(), cuda_->sums_stream()), "cudaEventRecord");
    device::check(cudaStreamWaitEvent(cuda_->stream(), summed_.get(), 0), "cudaStreamWaitEvent");
  }

 private:
  static constexpr std::chrono::seconds longest_abort{30};

  void check(ncclResult_t result, const char* what) const {
    if (result != ncclSuccess)
      fail(Failure::device, what, ": NCCL: ", ncclGetErrorString(result), ": ", ncclGetLastError(comm_), "; run with NCCL_DEBUG=WARN to see more");
  }
  /// Until a call that doesn't block has done its part.
  void finish(ncclResult_t result, const char* what) const {
    const auto is_done = [&] {
      if (result == ncclInProgress) check(ncclCommGetAsyncError(comm_, &result), "ncclCommGetAsyncError");
      return result != ncclInProgress;
    };
    device::poll(is_done, [this](std::chrono::milliseconds waited) { communicator_->require_others(waited); });
    check(result, what);
  }

  bool slices_are_equal(std::size_t count) const { return communicator_->slice(count, 0).size() * static_cast<std::size_t>(communicator_->size()) == count; }

  /// Behind all ops queued so far, and behind what was begun before: a communicator's collectives run in one order.
  template <class Call>
  void begin(Trace<Cuda>* trace, std::size_t bytes, const char* name, Call&& call) {
    if (comm_ == nullptr) return;
    device::check(cudaEventRecord(computed_.get(), cuda_->stream()), "cudaEventRecord");
    device::check(cudaStreamWaitEvent(cuda_->sums_stream(), computed_.get(), 0), "cudaStreamWaitEvent");
    const auto start = trace != nullptr ? trace->now(Lane::sums) : Trace<Cuda>::Mark{};
    if (communicator_->are_threads()) communicator_->barrier();
    finish(call(), name);
    if (communicator_->are_threads()) communicator_->barrier();
    if (trace != nullptr) trace->add(name, Lane::sums, start, bytes);
  }

  /// Errors     Failure::rank: another rank failed; Failure::device: NCCL did. What was queued is aborted first, or freeing memory would wait for it.
  void look_around(std::chrono::milliseconds waited) {
    try {
      communicator_->require_others(waited);
      ncclResult_t result = ncclSuccess;
      check(ncclCommGetAsyncError(comm_, &result), "ncclCommGetAsyncError");
      if (result != ncclInProgress) check(result, "a sum over ranks");
    } catch (...) {
      cuda_->watch({});
      abort();
      throw;
    }
  }

  /// NCCL's abort may hang itself: then the process ends here.
  void abort() {
    if (comm_ == nullptr) return;
    const std::jthread watchdog([](const std::stop_token& finished) {
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any wakes;
      wakes.wait_for(lock, finished, longest_abort, [] { return false; });
      if (finished.stop_requested()) return;
      constexpr std::string_view message = "terse: error: another rank failed, and NCCL doesn't end what waits for it: the process ends here; --resume goes on from the last state\n";
      static_cast<void>(!::write(STDERR_FILENO, message.data(), message.size()));
      std::_Exit(static_cast<int>(Failure::rank));
    });
    static_cast<void>(ncclCommAbort(std::exchange(comm_, nullptr)));
  }

  Cuda* cuda_;
  Communicator* communicator_;
  ncclComm_t comm_ = nullptr;
  int exceptions_ = std::uncaught_exceptions();
  device::Event computed_, summed_;
};

#else

/// Without NCCL: one rank, which has nobody to talk to.
///
/// Errors     Failure::device: more ranks
template <>
class Collective<Cuda> {
 public:
  Collective(Cuda&, Communicator& communicator) {
    if (communicator.size() > 1) fail(Failure::device, communicator.size(), " GPUs need NCCL, which this program was built without; install it (libnccl-dev) and build again, or use one GPU");
  }
  template <class T>
  void all_reduce(T*, Index) {}
  template <class T>
  void begin_all_reduce(T*, Index, Trace<Cuda>*) {}
  template <class T>
  void begin_reduce_scatter(T*, Index, Trace<Cuda>*) {}
  template <class T>
  void gather_slices(T*, Index) {}
  void wait() {}
  template <class T>
  void broadcast(T*, Index) {}
};

#endif

}  // namespace terse::dist
