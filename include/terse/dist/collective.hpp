#pragma once
#include <cstddef>
#include <memory>
#include <span>

#include <terse/core/shape.hpp>
#include <terse/device/cpu.hpp>
#include <terse/dist/background.hpp>
#include <terse/dist/communicator.hpp>
#include <terse/dist/trace.hpp>

namespace terse::dist {

/// What ranks say to each other of a device's memory, in order with its ops. Every rank makes the same calls in the same order.
template <class Device>
class Collective;

/// The CPU's memory is the host's: the communicator's own calls.
template <>
class Collective<Cpu> {
 public:
  /// `communicator` must outlive it.
  Collective(Cpu&, Communicator& communicator) : communicator_(&communicator) {
    if (communicator.size() > 1) behind_ = std::make_unique<BackgroundSums>(communicator);
  }

  /// values[i] becomes its sum over ranks.
  template <class T>
  void all_reduce(T* values, Index n) {
    wait(), communicator_->all_reduce(span(values, n));
  }
  /// Begins to make values[i] its sum over ranks, while ops go on. Until `wait` no op may use the values, and nothing else be said to the ranks.
  template <class T>
  void begin_all_reduce(T* values, Index n, Trace<Cpu>* trace) {
    if (behind_) behind_->begin(span(values, n), false, trace);
  }
  /// The same, but only this rank's slice becomes sums.
  template <class T>
  void begin_reduce_scatter(T* values, Index n, Trace<Cpu>* trace) {
    if (behind_) behind_->begin(span(values, n), true, trace);
  }
  /// Ops from here on use the sums that were begun.
  void wait() {
    if (behind_) behind_->wait();
  }
  /// Every rank takes each rank's slice from it.
  template <class T>
  void gather_slices(T* values, Index n) {
    wait(), communicator_->gather_slices(std::as_writable_bytes(span(values, n)), sizeof(T));
  }
  /// Every rank takes rank 0's.
  template <class T>
  void broadcast(T* values, Index n) {
    wait(), communicator_->broadcast(std::as_writable_bytes(span(values, n)), 0);
  }

 private:
  template <class T>
  static std::span<T> span(T* values, Index n) {
    return {values, static_cast<std::size_t>(n)};
  }

  Communicator* communicator_;
  std::unique_ptr<BackgroundSums> behind_;
};

}  // namespace terse::dist
