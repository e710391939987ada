#pragma once
#include <optional>
#include <vector>

#include <cuda_runtime.h>

#include <terse/device/check.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/handles.cuh>
#include <terse/device/replay.hpp>

namespace terse {

/// CUDA graphs of one stream. Work that copies pageable memory, waits, allocates or plans a matrix product can't be recorded. With lazy loading, CUDA's default,
/// its kernels should have run before: set CUDA_MODULE_LOADING=EAGER, or run it once unrecorded.
template <>
class Replay<Cuda> {
 public:
  Replay(Cuda& cuda, Index largest) : cuda_(&cuda), graphs_(static_cast<std::size_t>(largest)) {}

  /// Errors     Failure::device: something in work can't be recorded
  template <class Work>
  void operator()(Index size, Work&& work) {
    auto& graph = graphs_.at(static_cast<std::size_t>(size - 1));
    if (!graph) graph.emplace(cuda_->stream(), work);
    graph->launch(cuda_->stream());
  }

 private:
  Cuda* cuda_;
  std::vector<std::optional<device::Graph>> graphs_;
};

}  // namespace terse
