#pragma once
#include <cstddef>
#include <span>

#include <terse/core/shape.hpp>
#include <terse/device/cpu.hpp>
#include <terse/dist/communicator.hpp>

namespace terse::dist {

/// What ranks say to each other of a device's memory, in order with its ops. Every rank makes the same calls in the same order.
template <class Device>
class Collective;

/// The CPU's memory is the host's: the communicator's own calls.
template <>
class Collective<Cpu> {
 public:
  /// `communicator` must outlive it.
  Collective(Cpu&, Communicator& communicator) : communicator_(&communicator) {}

  /// values[i] becomes its sum over ranks.
  template <class T>
  void all_reduce(T* values, Index n) {
    communicator_->all_reduce(std::span(values, static_cast<std::size_t>(n)));
  }
  /// Every rank takes rank 0's.
  template <class T>
  void broadcast(T* values, Index n) {
    communicator_->broadcast(std::as_writable_bytes(std::span(values, static_cast<std::size_t>(n))), 0);
  }

 private:
  Communicator* communicator_;
};

}  // namespace terse::dist
