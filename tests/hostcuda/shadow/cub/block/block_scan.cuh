#pragma once
// cub::BlockScan by its documentation (CUB API, "cub::BlockScan"): one item a thread; the storage may be used again only after a barrier.

#include <cuda_runtime.h>

namespace cub {

enum BlockScanAlgorithm { BLOCK_SCAN_RAKING, BLOCK_SCAN_RAKING_MEMOIZE, BLOCK_SCAN_WARP_SCANS };

template <class T, int x, BlockScanAlgorithm = BLOCK_SCAN_RAKING, int y = 1, int z = 1>
class BlockScan {
 public:
  struct TempStorage {
    alignas(T) unsigned char values[sizeof(T) * x * y * z];
  };

  explicit BlockScan(TempStorage& storage, hostcuda::Where where = hostcuda::Where::here()) : values_(reinterpret_cast<T*>(storage.values)), where_(where) {}

  void InclusiveSum(T value, T& result, T& total) {
    const unsigned thread = share(value);
    T sum = values_[0];
    for (unsigned i = 1; i <= thread; ++i) sum = sum + values_[i];
    result = total = sum;
    for (unsigned i = thread + 1; i < x * y * z; ++i) total = total + values_[i];
  }
  void InclusiveSum(T value, T& result) {
    T total;
    InclusiveSum(value, result, total);
  }
  void ExclusiveSum(T value, T& result, T& total) {
    const unsigned thread = share(value);
    T sum{};
    for (unsigned i = 0; i < thread; ++i) sum = sum + values_[i];
    result = total = sum;
    for (unsigned i = thread; i < x * y * z; ++i) total = total + values_[i];
  }
  void ExclusiveSum(T value, T& result) {
    T total;
    ExclusiveSum(value, result, total);
  }

 private:
  unsigned share(T value) {
    if (blockDim.x != x || blockDim.y != y || blockDim.z != z)
      hostcuda::fail(where_, "cub::BlockScan of %d x %d x %d threads in a block of %u x %u x %u", x, y, z, blockDim.x, blockDim.y, blockDim.z);
    const unsigned thread = threadIdx.x + x * (threadIdx.y + y * threadIdx.z);
    values_[thread] = value;
    hostcuda::block_barrier(hostcuda::Barrier::sync, false, where_);
    return thread;
  }

  T* values_;
  hostcuda::Where where_;
};

}  // namespace cub
