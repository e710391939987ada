#pragma once
#include <cstddef>

#include <terse/device/cpu.hpp>

namespace terse {

/// Memory that the host fills and the device reads, or the other way: a block on each side, and copies from its beginning. For small things that change with each call.
template <class Device>
class Mirror;

/// The CPU's memory is the host's: one block.
template <>
class Mirror<Cpu> {
 public:
  /// Of device memory.
  static constexpr std::size_t bytes(std::size_t size) { return size; }

  /// Errors     Failure::device: out of memory
  Mirror(Cpu& cpu, std::size_t size) : memory_(cpu.allocate(size)) {}

  std::byte* on_host() const { return memory_.data(); }
  std::byte* on_device() const { return memory_.data(); }
  std::size_t size() const { return memory_.bytes(); }

  /// The device has what the host wrote into the first `bytes`, before the ops queued from now on; the host may write again after the next `download`.
  void upload(std::size_t /*bytes*/) const {}
  void upload() const {}
  /// The host has what the ops queued so far wrote: waits for the device.
  void download() const {}

 private:
  Cpu::Memory memory_;
};

}  // namespace terse
