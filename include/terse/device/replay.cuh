#pragma once
#include <vector>

#include <cuda_runtime.h>

#include <terse/device/check.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/handles.cuh>
#include <terse/device/replay.hpp>

namespace terse {

/// CUDA graphs of one stream. Recording queues nothing; work that copies pageable memory, waits, allocates or plans a matrix product can't be recorded.
template <>
class Replay<Cuda> {
 public:
  /// Errors     Failure::device: something in work can't be recorded
  template <class Work>
  Replay(Cuda& cuda, Index largest, Work&& work) : cuda_(&cuda) {
    graphs_.reserve(static_cast<std::size_t>(largest));
    for (Index size = 1; size <= largest; ++size) graphs_.emplace_back(cuda.stream(), [&] { work(size); });
  }

  template <class Work>
  void operator()(Index size, Work&& work) const {
    if (size < 1 || size > static_cast<Index>(graphs_.size())) return work(size);
    graphs_[static_cast<std::size_t>(size - 1)].launch(cuda_->stream());
  }

 private:
  Cuda* cuda_;
  std::vector<device::Graph> graphs_;
};

}  // namespace terse
