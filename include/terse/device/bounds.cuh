#pragma once
/// How kernels ask whether an index is inside: comparisons, which cost what comparisons cost. They have names so that the emulated GPU of the tests can
/// put its own in their place and let a single one of them, in a single kernel, answer as if there were one more: does a test notice?
///
/// One of them a line; an index's own loop over a fixed number of values needs none.

#include <type_traits>

#include <cuda_runtime.h>

namespace terse::device {

/// i < n.
template <class I>
__device__ __forceinline__ constexpr bool inside(I i, std::type_identity_t<I> n) {
  return i < n;
}

/// Whether all of [first, first + count) is below n.
template <class I>
__device__ __forceinline__ constexpr bool all_inside(I first, std::type_identity_t<I> count, std::type_identity_t<I> n) {
  return first + count <= n;
}

/// i <= last. Where both come in steps, `step` says by how much one more is.
template <class I>
__device__ __forceinline__ constexpr bool up_to(I i, std::type_identity_t<I> last, std::type_identity_t<I> /*step*/ = 1) {
  return i <= last;
}

/// i, or where it isn't below n, n - 1.
template <class I>
__device__ __forceinline__ constexpr I clamped(I i, std::type_identity_t<I> n) {
  return min(i, n - 1);
}

}  // namespace terse::device
