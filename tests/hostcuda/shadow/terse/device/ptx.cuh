#pragma once
// Stands before include/terse/device/ptx.cuh on the include path: the same functions, worked out by the machine. What they do is said
// there, and in the PTX ISA: "Warp-level matrix instructions" (ldmatrix, mma), "cp.async".

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <cuda_runtime.h>

#include <terse/core/dtype.hpp>

namespace hostcuda {

/// Lanes 0 to 8 N - 1 give a row's address, the others' isn't looked at. A row is read under the lane's own name, so that a race shows.
template <int N>
void load_matrices(WarpOperation operation, std::uint32_t (&to)[N], const void* row, Where where) {
  static_assert(N == 1 || N == 2 || N == 4);
  MatrixRow part{{}, to};
  if (lane() < 8 * N) {
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) fail(where, "ldmatrix: row at %p isn't at a multiple of 16 bytes", row);
    if (!is_shared(row, 16)) fail(where, "ldmatrix: row at %p isn't in the block's shared memory", row);
    for (int i = 0; i < 8; ++i) part.values[i] = static_cast<const std::uint16_t*>(row)[i];
  }
  warp_collective(operation, 0xFFFFFFFFu, &part, where);
}

}  // namespace hostcuda

namespace terse::device {

/// Only this header has it: a test sees by it that the library's own was not taken.
inline constexpr bool ptx_is_hostcuda = true;

template <int N>
void ldmatrix(std::uint32_t (&to)[N], const void* row, hostcuda::Where where = hostcuda::Where::here()) {
  using enum hostcuda::WarpOperation;
  hostcuda::load_matrices(N == 1 ? ldmatrix_1 : N == 2 ? ldmatrix_2 : ldmatrix_4, to, row, where);
}

template <int N>
void ldmatrix_transposed(std::uint32_t (&to)[N], const void* row, hostcuda::Where where = hostcuda::Where::here()) {
  using enum hostcuda::WarpOperation;
  hostcuda::load_matrices(N == 1 ? ldmatrix_trans_1 : N == 2 ? ldmatrix_trans_2 : ldmatrix_trans_4, to, row, where);
}

template <class T>
void mma(float (&sum)[4], const std::uint32_t (&a)[2], const std::uint32_t (&b)[1], hostcuda::Where where = hostcuda::Where::here()) {
  static_assert(std::is_same_v<T, half>, "terse: products of 8 columns are fp16's");
  hostcuda::Fragments part{a, b, sum};
  hostcuda::warp_collective(hostcuda::WarpOperation::mma_m16n8k8_f16, 0xFFFFFFFFu, &part, where);
}

template <class T>
void mma(float (&sum)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2], hostcuda::Where where = hostcuda::Where::here()) {
  static_assert(is_16_bit<T>);
  constexpr bool is_half = std::is_same_v<T, half>;
  if (!is_half && hostcuda::capability() < 80) hostcuda::fail(where, "mma of bfloat16: compute capability 7.5 has none");
  hostcuda::Fragments part{a, b, sum};
  hostcuda::warp_collective(is_half ? hostcuda::WarpOperation::mma_m16n8k16_f16 : hostcuda::WarpOperation::mma_m16n8k16_bf16, 0xFFFFFFFFu, &part, where);
}

inline void copy_async_16(void* to_shared, const void* from_global, hostcuda::Where where = hostcuda::Where::here()) {
  const hostcuda::Copy copy{to_shared, from_global};
  if (hostcuda::begin_copy(copy, where)) *static_cast<uint4*>(copy.to) = *static_cast<const uint4*>(copy.from);
}

inline void commit_copies(hostcuda::Where where = hostcuda::Where::here()) {
  if (!hostcuda::omitted(where, "commit_copies")) hostcuda::commit_copies();
}

template <int groups>
void wait_for_copies(hostcuda::Where where = hostcuda::Where::here()) {
  if (hostcuda::omitted(where, "wait_for_copies")) return;
  for (hostcuda::Copy copy; hostcuda::landing_copy(groups, copy);) *static_cast<uint4*>(copy.to) = *static_cast<const uint4*>(copy.from);
}

}  // namespace terse::device
