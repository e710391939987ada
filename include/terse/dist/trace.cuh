#pragma once
#include <cstddef>
#include <vector>

#include <cuda_runtime.h>

#include <terse/device/check.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/handles.cuh>
#include <terse/dist/trace.hpp>

namespace terse::dist {

/// Times of what a GPU's streams did, taken by events: nothing waits before the times are asked for.
template <>
class Trace<Cuda> {
 public:
  using Mark = std::size_t;  ///< number of an event

  /// Errors     Failure::device: there are no more events
  Trace(Cuda& cuda, std::size_t most_spans) : cuda_(&cuda), events_(2 * lane_count * most_spans + 1) {
    spans_.reserve(lane_count * most_spans);
    cuda.synchronize();
    start_ = steady_seconds();
    now(Lane::ops);
  }

  Mark now(Lane lane) {
    if (used_ == events_.size()) return used_ - 1;
    device::check(cudaEventRecord(events_[used_].get(), lane == Lane::ops ? cuda_->stream() : cuda_->sums_stream()), "cudaEventRecord");
    return used_++;
  }
  void add(const char* name, Lane lane, Mark begin, std::size_t bytes = 0) {
    if (spans_.size() == spans_.capacity() || used_ == events_.size()) return;
    spans_.push_back({name, lane, begin, now(lane), bytes});
  }
  /// All so far; waits for the GPU.
  std::vector<Span> spans() const {
    cuda_->synchronize();
    std::vector<Span> all;
    for (const auto& span : spans_) all.push_back({span.name, span.lane, seconds(span.begin), seconds(span.end), span.bytes});
    return all;
  }

 private:
  struct MarkedSpan {
    const char* name;
    Lane lane;
    Mark begin, end;
    std::size_t bytes;
  };
  /// The host's clock when the first event was recorded, and what passed since then.
  double seconds(Mark mark) const {
    float milliseconds = 0;
    device::check(cudaEventElapsedTime(&milliseconds, events_.front().get(), events_[mark].get()), "cudaEventElapsedTime");
    return start_ + static_cast<double>(milliseconds) * 1e-3;
  }

  Cuda* cuda_;
  std::vector<device::TimedEvent> events_;
  std::vector<MarkedSpan> spans_;
  std::size_t used_ = 0;
  double start_ = 0;
};

}  // namespace terse::dist
