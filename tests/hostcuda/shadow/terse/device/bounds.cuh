#pragma once
// Stands before include/terse/device/bounds.cuh on the include path: the same answers, but where HOSTCUDA_OMIT names the place and the kernel.
// There a check takes one index more for inside, which is a mistake that tests are to see.

#include <type_traits>

#include <cuda_runtime.h>

namespace hostcuda {

/// The answer of a check at this place: `right`, or `loosened` where it is to be. Where both are the same the check isn't at its bound.
template <class Answer>
Answer checked(Answer right, Answer loosened, Where where) {
  if (!places_matter) [[likely]] return right;
  return omitted(where, right == loosened ? "bounds check, not at its bound" : "bounds check") ? loosened : right;
}

}  // namespace hostcuda

namespace terse::device {

/// Only this header has it: a test sees by it that the library's own was not taken.
inline constexpr bool bounds_are_hostcuda = true;

template <class I>
bool inside(I i, std::type_identity_t<I> n, hostcuda::Where where = hostcuda::Where::here()) {
  return hostcuda::checked(i < n, i <= n, where);
}

template <class I>
bool all_inside(I first, std::type_identity_t<I> count, std::type_identity_t<I> n, hostcuda::Where where = hostcuda::Where::here()) {
  return hostcuda::checked(first + count <= n, first + count <= n + 1, where);
}

template <class I>
bool up_to(I i, std::type_identity_t<I> last, std::type_identity_t<I> step = 1, hostcuda::Where where = hostcuda::Where::here()) {
  return hostcuda::checked(i <= last, i <= last + step, where);
}

template <class I>
I clamped(I i, std::type_identity_t<I> n, hostcuda::Where where = hostcuda::Where::here()) {
  return hostcuda::checked(i < n ? i : n - 1, i < n ? i : n, where);
}

}  // namespace terse::device
