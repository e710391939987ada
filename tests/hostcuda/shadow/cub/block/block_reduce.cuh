#pragma once
// cub::BlockReduce by its documentation (CUB API, "cub::BlockReduce"): the result is valid in thread 0 alone, and the storage may be used
// again only after a barrier. Order of the sum: thread 0 upwards.

#include <cstring>

#include <cuda_runtime.h>

namespace cub {

enum BlockReduceAlgorithm { BLOCK_REDUCE_RAKING_COMMUTATIVE_ONLY, BLOCK_REDUCE_RAKING, BLOCK_REDUCE_WARP_REDUCTIONS };

template <class T, int x, BlockReduceAlgorithm = BLOCK_REDUCE_WARP_REDUCTIONS, int y = 1, int z = 1>
class BlockReduce {
 public:
  struct TempStorage {
    alignas(T) unsigned char values[sizeof(T) * x * y * z];
  };

  explicit BlockReduce(TempStorage& storage, hostcuda::Where where = hostcuda::Where::here()) : values_(reinterpret_cast<T*>(storage.values)), where_(where) {}

  template <class Operation>
  T Reduce(T value, Operation operation, int valid = x * y * z) {
    if (blockDim.x != x || blockDim.y != y || blockDim.z != z)
      hostcuda::fail(where_, "cub::BlockReduce of %d x %d x %d threads in a block of %u x %u x %u", x, y, z, blockDim.x, blockDim.y, blockDim.z);
    const unsigned thread = threadIdx.x + x * (threadIdx.y + y * threadIdx.z);
    values_[thread] = value;
    hostcuda::block_barrier(hostcuda::Barrier::sync, false, where_);
    T result;
    std::memset(static_cast<void*>(&result), 0xFF, sizeof result);
    if (thread != 0) return result;
    result = values_[0];
    for (int i = 1; i < valid; ++i) result = operation(result, values_[i]);
    return result;
  }
  T Sum(T value) {
    return Reduce(value, [](const T& a, const T& b) { return a + b; });
  }
  T Sum(T value, int valid) {
    return Reduce(value, [](const T& a, const T& b) { return a + b; }, valid);
  }

 private:
  T* values_;
  hostcuda::Where where_;
};

}  // namespace cub
