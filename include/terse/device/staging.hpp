#pragma once
#include <terse/core/arena.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/device/cpu.hpp>

namespace terse {

/// Brings batches to a device: `upload` gives a batch whose spans lie in the device's memory, all but `samples`. It is valid until the next.
/// A device may round a batch up, by a document without targets, to sizes that suit it: `extent` says what becomes of the largest one.
template <class Device>
class Staging;

/// The host's memory is the CPU's: nothing is copied.
template <>
class Staging<Cpu> {
 public:
  static constexpr Extent extent(Extent largest) { return largest; }
  /// Of device memory.
  static constexpr std::size_t bytes(Extent) { return 0; }

  Staging(Cpu&, Extent) {}
  const PackedBatch& upload(const PackedBatch& batch) const { return batch; }
};

}  // namespace terse
