#pragma once
/// Batches on their way to a GPU: the next one is copied while the GPU works on the last.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <cuda_runtime.h>

#include <terse/core/arena.hpp>
#include <terse/core/error.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/core/shape.hpp>
#include <terse/device/check.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/handles.cuh>
#include <terse/device/staging.hpp>

namespace terse {

/// Copies packed batches to a GPU, through page-locked memory, on the copy stream. There are two buffers, so the CPU may fill one while the GPU
/// reads the other.
///
/// The GPU's batch has T rounded up to a multiple of 64, so that matrix products have few shapes. The rows that are added are one more document,
/// behind the others, of token 0 at position 0. Nothing is predicted from them, so their gradients are exactly zero; its sample is -1.
template <>
class Staging<Cuda> {
 public:
  /// T is a multiple of this.
  static constexpr Index row_multiple = 64;

  /// What becomes of the largest batch.
  static constexpr Extent extent(Extent largest) { return {round_up(largest.tokens, row_multiple), largest.sequences + 1}; }
  /// Of the GPU's memory; as many of page-locked memory.
  static constexpr std::size_t bytes(Extent largest) { return 2 * slot_bytes(largest); }

  /// Memory for batches of up to `largest`. `cuda` must outlive it.
  /// Errors     Failure::device: out of memory
  Staging(Cuda& cuda, Extent largest) : cuda_(&cuda), largest_(largest), memory_(cuda.allocate(bytes(largest))) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      slots_[i].host = device::PinnedMemory(slot_bytes(largest));
      slots_[i].gpu = memory_.data() + i * slot_bytes(largest);
      slots_[i].samples.reserve(static_cast<std::size_t>(largest.sequences) + 1);
    }
  }

  /// The batch on the GPU: spans of its memory, but `samples`, which the CPU reads. Ops that are queued from now on wait for the copy; those
  /// that use it are queued before the next call, and the result is valid until the next but one. `batch` may change after the call.
  /// Errors     Failure::internal: the batch is larger than the largest
  const PackedBatch& upload(const PackedBatch& batch) {
    if (batch.tokens() > largest_.tokens || batch.sequences() > largest_.sequences)
      fail(Failure::internal, "a micro-batch of ", batch.tokens(), " tokens in ", batch.sequences(), " documents exceeds the planned ", largest_.tokens, " in ", largest_.sequences);
    slots_[current_].used.record(cuda_->stream());  // whatever uses the last batch has been queued
    current_ = 1 - current_;
    Slot& slot = slots_[current_];
    slot.copied.wait();
    fill(slot, batch);
    slot.used.make_wait(cuda_->copy_stream());
    device::check(cudaMemcpyAsync(slot.gpu, slot.host.data(), slot.filled, cudaMemcpyHostToDevice, cuda_->copy_stream()), "copy of a batch");
    slot.copied.record(cuda_->copy_stream());
    slot.copied.make_wait(cuda_->stream());
    return slot.batch;
  }

 private:
  struct Slot {
    device::PinnedMemory host;
    std::byte* gpu = nullptr;
    std::size_t filled = 0;
    device::Event copied, used;
    std::vector<std::int64_t> samples;
    PackedBatch batch;  // in the GPU's memory
  };

  static constexpr std::size_t part_bytes(Index values) { return round_up(static_cast<std::size_t>(values) * 4, alignment_bytes); }
  static constexpr std::size_t slot_bytes(Extent largest) {
    return 2 * part_bytes(round_up(largest.tokens, row_multiple)) + 3 * part_bytes(largest.tokens) + part_bytes(largest.sequences + 2) + part_bytes(largest.sequences + 1);
  }

  /// Copies `values` and then `more` zeros to the slot's next part; returns their place on the GPU.
  template <class Value>
  static std::span<const Value> put(Slot& slot, std::span<const Value> values, Index more = 0) {
    static_assert(sizeof(Value) == 4);
    const std::size_t count = values.size() + static_cast<std::size_t>(more);
    auto* const host = reinterpret_cast<Value*>(slot.host.data() + slot.filled);
    const auto* const gpu = reinterpret_cast<const Value*>(slot.gpu + slot.filled);
    std::fill(std::copy(values.begin(), values.end(), host), host + count, Value{});
    slot.filled += part_bytes(static_cast<Index>(count));
    return {gpu, count};
  }

  static void fill(Slot& slot, const PackedBatch& batch) {
    const Index added = round_up(batch.tokens(), row_multiple) - batch.tokens(), documents = added > 0 ? 1 : 0;
    slot.filled = 0;
    slot.samples.assign(batch.samples.begin(), batch.samples.end());
    slot.batch.ids = put(slot, batch.ids, added);
    slot.batch.positions = put(slot, batch.positions, added);
    const std::size_t ends = slot.filled;
    slot.batch.cu_seqlens = put(slot, batch.cu_seqlens, documents);
    slot.batch.target_rows = put(slot, batch.target_rows);
    slot.batch.targets = put(slot, batch.targets);
    slot.batch.weights = put(slot, batch.weights);
    slot.batch.draws = put(slot, batch.draws, documents);
    if (documents > 0) {
      reinterpret_cast<std::int32_t*>(slot.host.data() + ends)[batch.cu_seqlens.size()] = static_cast<std::int32_t>(batch.tokens() + added);
      slot.samples.push_back(-1);
    }
    slot.batch.samples = slot.samples;
  }

  Cuda* cuda_;
  Extent largest_;
  Cuda::Memory memory_;
  std::array<Slot, 2> slots_;
  std::size_t current_ = 0;
};

}  // namespace terse
