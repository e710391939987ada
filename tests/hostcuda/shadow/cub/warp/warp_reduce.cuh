#pragma once
// cub::WarpReduce by its documentation (CUB API, "cub::WarpReduce"): the result is valid in lane 0 of each logical warp alone.

#include <cstring>

#include <cuda_runtime.h>

namespace cub {

template <class T, int lanes = 32>
class WarpReduce {
 public:
  struct TempStorage {
    unsigned char none;
  };

  explicit WarpReduce(TempStorage&, hostcuda::Where where = hostcuda::Where::here()) : where_(where) {}

  template <class Operation>
  T Reduce(T value, Operation operation) {
    const int lane = hostcuda::lane() % lanes;
    for (unsigned distance = 1; distance < lanes; distance *= 2) {
      const T other = __shfl_down_sync(0xFFFFFFFFu, value, distance, lanes, where_);
      if (lane + static_cast<int>(distance) < lanes) value = operation(value, other);
    }
    if (lane != 0) std::memset(static_cast<void*>(&value), 0xFF, sizeof value);
    return value;
  }
  T Sum(T value) {
    return Reduce(value, [](const T& a, const T& b) { return a + b; });
  }

 private:
  hostcuda::Where where_;
};

}  // namespace cub
