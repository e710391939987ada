#pragma once
/// What a step leaves on the device, and the host hears of when it is there.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <vector>

#include <terse/core/arena.hpp>
#include <terse/device/readback.hpp>
#include <terse/ops/overflow/op.hpp>
#include <terse/optim/update.hpp>

namespace terse::train {

/// What became of a step.
template <Real S>
struct StepOutcome {
  double loss = 0;                 ///< of all ranks
  optim::UpdateState<S> update;    ///< norm, skipped, and where the optimizer stands now
  ops::Overflow overflow;          ///< this rank's
};

/// The numbers of a step in the device's memory, and their way to the host. On a device that runs behind, a step's outcome is received when the next one was
/// queued, so the device never waits; up to `most_in_flight` are on their way.
template <class Device, Real S>
class StepReports {
 public:
  static constexpr int most_in_flight = 2;

  /// Of device memory, for so many micro-batches a step, over all ranks.
  static constexpr std::size_t bytes(Index micro_batches) { return round_up(losses_at + loss_bytes(micro_batches), alignment_bytes); }

  /// Errors     Failure::device: out of memory
  StepReports(Device& device, Index micro_batches)
      : device_(&device),
        micro_batches_(micro_batches),
        memory_(device.allocate(bytes(micro_batches))),
        readbacks_{Readback<Device>(device, sent_bytes(micro_batches)), Readback<Device>(device, sent_bytes(micro_batches))} {
    losses_on_host_.reserve(static_cast<std::size_t>(micro_batches));
  }

  /// At the start of a step: no loss, no overflow.
  void clear() {
    static_assert(std::bit_cast<std::array<std::int32_t, 3>>(ops::Overflow{}) == std::array<std::int32_t, 3>{-1, -1, -1});
    device_->clear(overflow(), sizeof(ops::Overflow), std::byte{0xFF});  // none
    device_->clear(losses(), loss_bytes(micro_batches_));
  }
  /// Where the overflow is noted, in the device's memory.
  ops::Overflow* overflow() const { return reinterpret_cast<ops::Overflow*>(memory_.data()); }
  /// A loss for each micro-batch, in the device's memory: one rank's, and 0 on the others, so their sum doesn't depend on who has it.
  double* losses() const { return reinterpret_cast<double*>(memory_.data() + losses_at); }

  /// The first `count` of losses(), on the host: waits for the device. While nothing is in flight; valid until the next step.
  std::span<const double> read_losses(Index count) {
    losses_on_host_.resize(static_cast<std::size_t>(count));
    device_->copy_to_host(losses_on_host_.data(), losses(), loss_bytes(count));
    return losses_on_host_;
  }

  /// Queues this step's numbers for the host.
  void send(const optim::UpdateState<S>* state) {
    auto& readback = readbacks_[static_cast<std::size_t>(sent_++ % most_in_flight)];
    readback.copy(0, overflow(), sizeof(ops::Overflow));
    readback.copy(state_at, state, sizeof *state);
    readback.copy(state_at + sizeof *state, losses(), loss_bytes(micro_batches_));
    readback.send();
  }
  /// Steps sent and not received.
  long in_flight() const { return sent_ - received_; }
  /// Nobody waits for them any more.
  void forget() { received_ = sent_; }
  /// Of the oldest of them; waits until it is there.
  StepOutcome<S> receive() {
    const std::byte* const bytes = readbacks_[static_cast<std::size_t>(received_++ % most_in_flight)].wait();
    StepOutcome<S> outcome;
    std::memcpy(&outcome.overflow, bytes, sizeof outcome.overflow);
    std::memcpy(&outcome.update, bytes + state_at, sizeof outcome.update);
    for (Index i = 0; i < micro_batches_; ++i) {
      double loss = 0;
      std::memcpy(&loss, bytes + state_at + sizeof outcome.update + static_cast<std::size_t>(i) * sizeof loss, sizeof loss);
      outcome.loss += loss;
    }
    return outcome;
  }

 private:
  static constexpr std::size_t losses_at = round_up(sizeof(ops::Overflow), alignof(double)), state_at = losses_at;
  static constexpr std::size_t loss_bytes(Index micro_batches) { return static_cast<std::size_t>(micro_batches) * sizeof(double); }
  static constexpr std::size_t sent_bytes(Index micro_batches) { return state_at + sizeof(optim::UpdateState<S>) + loss_bytes(micro_batches); }

  Device* device_;
  Index micro_batches_;
  typename Device::Memory memory_;
  std::array<Readback<Device>, most_in_flight> readbacks_;
  std::vector<double> losses_on_host_;
  long sent_ = 0, received_ = 0;
};

}  // namespace terse::train
