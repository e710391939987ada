#pragma once
// Stands before include/terse/device/shared.cuh on the include path.

#include <type_traits>

#include <cuda_runtime.h>

namespace terse::device {

/// Only this header has it: a test sees by it that the library's own was not taken.
inline constexpr bool shared_is_hostcuda = true;

/// The block's shared memory; its end is the end of a page, so that what lies behind it can't be reached.
template <class T>
T& shared(hostcuda::Where where = hostcuda::Where::here()) {
  static_assert(alignof(T) <= 16, "terse: shared memory is aligned to 16 bytes");
  static_assert(std::is_trivially_destructible_v<T>);
  return *static_cast<T*>(hostcuda::shared_memory(sizeof(T), where));
}

}  // namespace terse::device
