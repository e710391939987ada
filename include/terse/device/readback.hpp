#pragma once
#include <cstddef>
#include <vector>

#include <terse/device/cpu.hpp>

namespace terse {

/// Brings a few bytes from a device to the host without waiting for it: `copy` and `send` are queued behind the work so far, `wait` gives them when they are there.
template <class Device>
class Readback;

/// The CPU's work is done when it returns: nothing is waited for.
template <>
class Readback<Cpu> {
 public:
  /// Room for so many bytes.
  Readback(Cpu&, std::size_t bytes) : bytes_(bytes) {}

  /// `bytes` of the device's memory, to [at, at + bytes).
  void copy(std::size_t at, const void* from, std::size_t bytes) { std::memcpy(bytes_.data() + at, from, bytes); }
  /// All that is to come was copied.
  void send() {}
  /// What came.
  const std::byte* wait() const { return bytes_.data(); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace terse
