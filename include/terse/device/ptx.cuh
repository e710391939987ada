#pragma once
/// The only inline PTX: matrix fragments, tensor cores and asynchronous copies. Names and layouts are those of the PTX ISA ("Warp Level
/// Matrix Instructions", "Asynchronous copy"). All lanes of a warp take part in ldmatrix and mma.
///
/// Kernels are compiled for every architecture, so what one lacks has another body there: chosen by __CUDA_ARCH__, in this file alone.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <cuda_runtime.h>

#include <terse/core/dtype.hpp>

namespace terse::device {

/// N = 1, 2 or 4 matrices of 8 x 8 16-bit values from shared memory: lane l gives the address of row l % 8 of matrix l / 8 (16 bytes,
/// aligned to them), and gets of each matrix the two values at row l / 4, columns 2 (l % 4) and the next, the first in the low half.
template <int N>
__device__ inline void ldmatrix(std::uint32_t (&to)[N], const void* row) {
  static_assert(N == 1 || N == 2 || N == 4);
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (N == 4)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(address) : "memory");
  else if constexpr (N == 2)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(to[0]), "=r"(to[1]) : "r"(address) : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(to[0]) : "r"(address) : "memory");
}

/// The same, each matrix transposed on the way.
template <int N>
__device__ inline void ldmatrix_transposed(std::uint32_t (&to)[N], const void* row) {
  static_assert(N == 1 || N == 2 || N == 4);
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (N == 4)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(address) : "memory");
  else if constexpr (N == 2)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(to[0]), "=r"(to[1]) : "r"(address) : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(to[0]) : "r"(address) : "memory");
}

/// sum (16, 8) += a (16, 8) b (8, 8), T half, sums in float: mma.m16n8k8.
template <class T>
__device__ inline void mma(float (&sum)[4], const std::uint32_t (&a)[2], const std::uint32_t (&b)[1]) {
  static_assert(std::is_same_v<T, half>, "terse: products of 8 columns are fp16's");
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
               : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

/// sum (16, 8) += a (16, 16) b (16, 8), T half or bfloat16, sums in float: mma.m16n8k16. Below sm_80 fp16's is two of m16n8k8 (the
/// fragments are the same registers), and bf16's ends the kernel: the host chooses bf16 by capability.
template <class T>
__device__ inline void mma(float (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  static_assert(is_16_bit<T>);
#if __CUDA_ARCH__ >= 800
  if constexpr (std::is_same_v<T, half>)
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  if constexpr (std::is_same_v<T, half>) {
    const std::uint32_t left[2] = {a[0], a[1]}, right[2] = {a[2], a[3]}, upper[1] = {b[0]}, lower[1] = {b[1]};
    mma<T>(sum, left, upper);
    mma<T>(sum, right, lower);
  } else {
    __trap();
  }
#endif
}

/// Begins to copy 16 bytes (both sides aligned to them) from global to shared memory; below sm_80 copies them. They are there for this
/// thread after wait_for_copies, for the block after a barrier behind that.
__device__ inline void copy_async_16(void* to_shared, const void* from_global) {
#if __CUDA_ARCH__ >= 800
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(to_shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(__cvta_generic_to_global(from_global)) : "memory");
#else
  *static_cast<uint4*>(to_shared) = *static_cast<const uint4*>(from_global);
#endif
}

/// The copies begun since the last call are a group.
__device__ inline void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits until at most the latest `groups` groups of this thread are under way.
template <int groups>
__device__ inline void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
#endif
}

}  // namespace terse::device
