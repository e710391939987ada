#pragma once
/// Waiting with open eyes.

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include <cuda_runtime.h>

#include <terse/device/check.cuh>
#include <terse/device/handles.cuh>

namespace terse::device {

/// Hears for how long somebody has waited; throws where it is in vain.
using Watch = std::function<void(std::chrono::milliseconds waited)>;

/// The event's newest record has been reached.
/// Errors     Failure::device: a kernel or copy before it went wrong
inline bool is_done(const Event& event) {
  const cudaError_t status = cudaEventQuery(event.get());
  if (status != cudaErrorNotReady) check(status, "kernels and copies");
  return status == cudaSuccess;
}

/// Returns when done() is true. Asks without a pause at first, then ever less often, up to a thousand times a second; `watch` hears ten times a second.
template <class Done>
void poll(Done&& done, const Watch& watch) {
  using Clock = std::chrono::steady_clock;
  constexpr int without_pause = 200;
  constexpr std::chrono::microseconds shortest{20}, longest{1000};
  constexpr std::chrono::milliseconds look_around{100};
  const auto begin = Clock::now();
  auto next_look = begin + look_around;
  std::chrono::microseconds pause = shortest;
  for (int asked = 0; !done(); ++asked) {
    if (asked < without_pause) std::this_thread::yield();
    else std::this_thread::sleep_for(pause = std::min(pause * 5 / 4, longest));
    if (const auto now = Clock::now(); now >= next_look) {
      watch(std::chrono::duration_cast<std::chrono::milliseconds>(now - begin));
      next_look = now + look_around;
    }
  }
}

}  // namespace terse::device
