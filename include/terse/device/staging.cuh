#pragma once
/// Batches on their way to a GPU: the next one is copied while the GPU works on the last.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
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
/// So that matrix products have few shapes, and those that tensor cores like, the GPU's batch has T rounded up to a multiple of 64 and N to a multiple of 8. The
/// rows that are added are one more document, behind the others, of token 0 at position 0; the targets that are added are its first rows', with weight 0, so all
/// their gradients are exactly zero. Its sample is -1.
template <>
class Staging<Cuda> {
 public:
  /// T and N are multiples of these.
  static constexpr Index row_multiple = 64, target_multiple = 8;

  /// What becomes of the largest batch.
  static constexpr Extent extent(Extent largest) { return {round_up(largest.tokens + target_multiple - 1, row_multiple), largest.sequences + 1}; }
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
    require_room(batch.tokens(), batch.sequences());
    device::check(cudaEventRecord(slots_[current_].used.get(), cuda_->stream()), "cudaEventRecord");  // whatever uses the last batch has been queued
    current_ = 1 - current_;
    Slot& slot = slots_[current_];
    cuda_->wait_for(slot.copied);  // its page-locked memory may be written again
    fill(slot, batch);
    device::check(cudaStreamWaitEvent(cuda_->copy_stream(), slot.used.get(), 0), "cudaStreamWaitEvent");
    device::check(cudaMemcpyAsync(slot.gpu, slot.host.data(), slot.filled, cudaMemcpyHostToDevice, cuda_->copy_stream()), "copy of a batch");
    device::check(cudaEventRecord(slot.copied.get(), cuda_->copy_stream()), "cudaEventRecord");
    device::check(cudaStreamWaitEvent(cuda_->stream(), slot.copied.get(), 0), "cudaStreamWaitEvent");
    return slot.batch;
  }

  /// What a batch of these sizes becomes, for a rehearsal: spans of the right sizes, nothing in them. The last batch isn't valid any more.
  const PackedBatch& rehearsal_batch(Index tokens, Index sequences, Index target_rows) {
    require_room(tokens, sequences);
    Slot& slot = slots_[current_];
    lay_out(slot, tokens, sequences, target_rows);
    slot.samples.assign(slot.batch.draws.size(), -1);
    slot.batch.samples = slot.samples;
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
    const Extent padded = extent(largest);
    return 5 * part_bytes(padded.tokens) + part_bytes(padded.sequences + 1) + part_bytes(padded.sequences);
  }

  void require_room(Index tokens, Index sequences) const {
    if (tokens > largest_.tokens || sequences > largest_.sequences)
      fail(Failure::internal, "a micro-batch of ", tokens, " tokens in ", sequences, " documents exceeds the planned ", largest_.tokens, " in ", largest_.sequences);
  }

  /// Gives each of the batch's arrays its place, one behind the other.
  static void lay_out(Slot& slot, Index tokens, Index sequences, Index target_rows) {
    const Index targets = round_up(target_rows, target_multiple), rows = round_up(tokens + targets - target_rows, row_multiple);
    const Index documents = sequences + (rows > tokens ? 1 : 0);
    slot.filled = 0;
    const auto place = [&slot]<class Value>(std::span<const Value>& values, Index count) {
      static_assert(sizeof(Value) == 4);
      values = {reinterpret_cast<const Value*>(slot.gpu + slot.filled), static_cast<std::size_t>(count)};
      slot.filled += part_bytes(count);
    };
    place(slot.batch.ids, rows), place(slot.batch.positions, rows), place(slot.batch.cu_seqlens, documents + 1), place(slot.batch.draws, documents);
    place(slot.batch.target_rows, targets), place(slot.batch.targets, targets), place(slot.batch.weights, targets);
  }

  static void fill(Slot& slot, const PackedBatch& batch) {
    lay_out(slot, batch.tokens(), batch.sequences(), static_cast<Index>(batch.target_rows.size()));
    // Copies `values` to where they go to the GPU from; the rest of their place are zeros. Returns the rest.
    const auto copy = [&slot]<class Value>(std::span<const Value> values, std::span<const Value> place) {
      auto* const begin = reinterpret_cast<Value*>(slot.host.data() + (reinterpret_cast<const std::byte*>(place.data()) - slot.gpu));
      auto* const end = std::copy(values.begin(), values.end(), begin);
      std::fill(end, begin + place.size(), Value{});
      return std::span<Value>(end, begin + place.size());
    };
    copy(batch.ids, slot.batch.ids), copy(batch.positions, slot.batch.positions), copy(batch.draws, slot.batch.draws);
    copy(batch.targets, slot.batch.targets), copy(batch.weights, slot.batch.weights);
    const auto added_rows = copy(batch.target_rows, slot.batch.target_rows);
    std::iota(added_rows.begin(), added_rows.end(), static_cast<std::int32_t>(batch.tokens()));
    const auto added_end = copy(batch.cu_seqlens, slot.batch.cu_seqlens);
    std::fill(added_end.begin(), added_end.end(), static_cast<std::int32_t>(slot.batch.tokens()));
    slot.samples.assign(batch.samples.begin(), batch.samples.end());
    slot.samples.resize(slot.batch.draws.size(), -1);
    slot.batch.samples = slot.samples;
    slot.batch.loss_terms = batch.loss_terms;
  }

  Cuda* cuda_;
  Extent largest_;
  Cuda::Memory memory_;
  std::array<Slot, 2> slots_;
  std::size_t current_ = 0;
};

}  // namespace terse
