#pragma once
// How a function of the runtime API begins and ends.

#include <sstream>
#include <string>
#include <utility>

#include "machine.hpp"

namespace hostcuda {

/// Holds the machine's lock. A device that lost its context refuses everything: "any other calls return the same error" (Runtime API, "Error
/// Handling", of errors that leave the process in an inconsistent state).
class Call {
 public:
  explicit Call(const char* name) : machine(Machine::get()), guard(machine.lock), name_(name) {}

  Device& device() { return machine.devices[static_cast<std::size_t>(current_device())]; }
  /// The failure of the current device, if it has one; else `status` of this call, with words.
  template <class... Parts>
  cudaError_t end(cudaError_t status = cudaSuccess, const Parts&... parts) {
    if (device().failure) return note_status(device().failure.status, device().failure.text);
    if (status == cudaSuccess) return cudaSuccess;
    std::ostringstream text;
    text << name_;
    if constexpr (sizeof...(parts) > 0) (text << ": " << ... << parts);
    machine.last_report = std::move(text).str();
    return note_status(status, machine.last_report);
  }
  bool knows(cudaStream_t stream) const { return machine.streams.contains(stream) && !stream->destroyed; }
  bool knows(cudaEvent_t event) const { return machine.events.contains(event); }
  /// The capture that forbids this thread calls that may wait for the device or take memory; none: nullptr. "cudaStreamCaptureModeThreadLocal: … potentially
  /// unsafe calls by the local thread are prohibited"; Global: those of any thread (cudaThreadExchangeStreamCaptureMode).
  Capture* forbidding() const {
    for (const cudaStream_t stream : machine.streams)
      if (Capture* const capture = stream->capture.get(); capture != nullptr)
        if (capture->mode == cudaStreamCaptureModeGlobal || (capture->mode == cudaStreamCaptureModeThreadLocal && capture->thread == std::this_thread::get_id())) return capture;
    return nullptr;
  }
  /// Refuses what a capture can't hold; it is lost ("any attempt to … will … invalidate the capture").
  template <class... Parts>
  cudaError_t spoil(Capture& capture, const Parts&... parts) {
    capture.invalidated = true;
    return end(cudaErrorStreamCaptureUnsupported, parts...);
  }

  /// Runs until `done`, then the device's failure or success.
  template <class Done>
  cudaError_t wait(cudaStream_t wanted, Done done) {
    if (!machine.run_until(guard, wanted, done)) return end(cudaErrorLaunchTimeout, machine.last_report);
    return end();
  }

  Machine& machine;
  Machine::Guard guard;

 private:
  const char* name_;
};

}  // namespace hostcuda
