#pragma once
// Devices, streams and events, behind one lock. Work is queued and runs when somebody waits: always the head of some stream, and which
// one, of those whose events have happened, the seed decides.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hostcuda/runtime.hpp"
#include "memory.hpp"
#include "random.hpp"
#include "sanitizers.hpp"

namespace hostcuda {

/// What went wrong, in CUDA's terms and in words.
struct Failure {
  cudaError_t status = cudaSuccess;
  std::string text;
  explicit operator bool() const { return status != cudaSuccess; }
};

/// A part of memory that queued work will read or write.
struct Range {
  const void* begin;
  std::size_t bytes;
};

using Clock = std::chrono::steady_clock;

/// An event as queued work sees it; outlives cudaEventDestroy.
struct EventState {
  std::uint64_t recorded = 0, done = 0;   ///< how many times
  Clock::time_point at{};                 ///< of the last one done
  SyncPoint sync = 0;
};

/// An entry of a stream's queue.
struct Work {
  std::string what = {};                   ///< in words, for messages
  std::function<Failure()> run = {};       ///< without the lock
  std::vector<Range> uses = {};            ///< what may not be freed before
  std::function<bool()> ready = {};        ///< with the lock; none: at once
  std::function<void()> after = {};        ///< with the lock, when it has run or was dropped
  std::shared_ptr<EventState> event = {};  ///< that `ready` waits for, or that is recorded
  bool records = false;
  bool waits_for_processes = false;        ///< `ready` depends on others, which take their time
  std::uint64_t record = 0;                ///< which record of the event
  std::uint64_t number = 0;                ///< in the order of queueing
};

struct Device {
  Failure failure;                         ///< of a kernel or copy: stays, as CUDA's context is lost
  std::size_t used = 0, peak = 0;
  SyncPoint ended_streams = 0;             ///< what streams did that were destroyed since
};

}  // namespace hostcuda

/// The runtime API's handles point at these.
struct CUgraph_st {
  int device = 0;
  std::vector<hostcuda::Work> nodes;       ///< in the order of the one stream that was captured
};
struct CUgraphExec_st : CUgraph_st {};

namespace hostcuda {

/// What is queued on a stream goes into a graph instead.
struct Capture {
  CUgraph_st graph;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  bool invalidated = false;
};

}  // namespace hostcuda

struct CUstream_st {
  int device = 0;
  bool blocking = false;                   ///< waits for the legacy default stream and is waited for by it
  bool busy = false, destroyed = false;
  std::deque<hostcuda::Work> queue;
  std::unique_ptr<hostcuda::Capture> capture;
  void* identity = nullptr;
  hostcuda::SyncPoint queued = 0, done = 0;
};
struct CUevent_st {
  std::shared_ptr<hostcuda::EventState> state = std::make_shared<hostcuda::EventState>();
  int device = 0;
  bool timing = true;
};

namespace hostcuda {

class Machine {
 public:
  static Machine& get();

  std::mutex lock;
  std::vector<Device> devices;
  Memory memory;
  std::set<cudaStream_t> streams;
  std::set<cudaEvent_t> events;
  std::map<std::pair<const void*, int>, std::size_t> shared_asked;   ///< cudaFuncSetAttribute by kernel and device
  std::string last_report;

  using Guard = std::unique_lock<std::mutex>;
  /// Appends to the stream's queue, or to the graph it is captured into.
  void queue(cudaStream_t stream, Work work);
  /// Runs queued work until `done`. False: given up, as nothing went on for Options::patience; last_report says what waits.
  bool run_until(Guard& guard, cudaStream_t wanted, const std::function<bool()>& done);
  /// Nothing has gone on for Options::patience, though something waits: it never will.
  bool is_stuck();
  /// Runs one piece of queued work, if there is any that can run.
  bool run_one(Guard& guard);
  /// True where all work of the device's streams (all devices: -1) has run.
  bool idle(int device, bool only_blocking = false) const;
  /// What queued or running work uses the memory; empty: none.
  std::string user_of(const void* begin, std::size_t bytes) const;
  void wake() { changed_.notify_all(); }
  /// Drops the device's queued work, and its failure.
  void reset(int device);

 private:
  Machine();
  cudaStream_t choose(cudaStream_t wanted);
  void run_head(Guard& guard, cudaStream_t stream);
  void finish(cudaStream_t stream, const Work& work, Failure failure);
  std::string what_waits() const;

  std::condition_variable changed_;
  Clock::time_point went_on_ = Clock::now();
  std::uint64_t queued_ = 0;
  Random random_;
  std::uint64_t random_seed_ = ~std::uint64_t{0};
};

/// The ordinal that cudaSetDevice chose for this thread.
int& current_device();
/// Notes what this thread's last call found, for cudaGetLastError and cudaGetErrorString.
cudaError_t note_status(cudaError_t status, std::string text = {});

}  // namespace hostcuda
