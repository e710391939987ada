#pragma once

#include <type_traits>

#include <cuda_runtime.h>

namespace terse::device {

/// The block's dynamic shared memory as one struct: the only shared memory in the library. The launch gives sizeof(T) bytes; uninitialised.
template <class T>
__device__ inline T& shared() {
  static_assert(alignof(T) <= 16, "terse: shared memory is aligned to 16 bytes");
  static_assert(std::is_trivially_destructible_v<T>);
  extern __shared__ __align__(16) unsigned char memory[];
  return *reinterpret_cast<T*>(memory);
}

}  // namespace terse::device
