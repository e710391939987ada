#pragma once
// For libraries whose calls queue work of their own: cub::Device….

#include <functional>
#include <initializer_list>
#include <string>

#include "hostcuda/runtime.hpp"

namespace hostcuda {

/// Memory that queued work reads or writes.
struct Use {
  const void* begin;
  std::size_t bytes;
  bool written;
};
/// Queues `run` on the stream; refused where a use isn't memory of the stream's device.
cudaError_t queue_work(cudaStream_t stream, std::string what, std::initializer_list<Use> uses, std::function<void()> run);

}  // namespace hostcuda
