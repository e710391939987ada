#pragma once
// Barriers, shuffles and votes. Source: CUDA C++ Programming Guide, "Synchronization Functions", "Warp Vote Functions",
// "Warp Match Functions", "Warp Shuffle Functions".

#include <cstring>
#include <type_traits>

#include "hostcuda/kernel.hpp"

inline void __syncthreads(hostcuda::Where where = hostcuda::Where::here()) {
  if (!hostcuda::omitted(where, "__syncthreads")) hostcuda::block_barrier(hostcuda::Barrier::sync, false, where);
}
// Of these the answer can't be left out, but that they order memory.
inline int __syncthreads_count(int predicate, hostcuda::Where where = hostcuda::Where::here()) {
  return hostcuda::block_barrier(hostcuda::Barrier::sync_count, predicate != 0, where, !hostcuda::omitted(where, "__syncthreads_count"));
}
inline int __syncthreads_and(int predicate, hostcuda::Where where = hostcuda::Where::here()) {
  return hostcuda::block_barrier(hostcuda::Barrier::sync_and, predicate != 0, where, !hostcuda::omitted(where, "__syncthreads_and"));
}
inline int __syncthreads_or(int predicate, hostcuda::Where where = hostcuda::Where::here()) {
  return hostcuda::block_barrier(hostcuda::Barrier::sync_or, predicate != 0, where, !hostcuda::omitted(where, "__syncthreads_or"));
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu, hostcuda::Where where = hostcuda::Where::here()) {
  hostcuda::Exchange nothing;
  if (!hostcuda::omitted(where, "__syncwarp")) hostcuda::warp_collective(hostcuda::WarpOperation::syncwarp, mask, &nothing, where);
}

namespace hostcuda {

inline std::uint64_t vote(WarpOperation operation, unsigned mask, std::uint64_t value, Where where) {
  Exchange part{.in = value};
  warp_collective(operation, mask, &part, where);
  return part.out;
}

template <class T>
T shuffle(WarpOperation operation, unsigned mask, T value, int source, Where where) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8, "a shuffle moves up to 8 bytes");
  Exchange part{.source = source};
  std::memcpy(&part.in, &value, sizeof value);
  warp_collective(operation, mask, &part, where);
  std::memcpy(&value, &part.out, sizeof value);
  return value;
}

/// The first lane of this lane's group of `width` lanes.
inline int first_of_group(int width, Where where) {
  if (width < 1 || width > 32 || (width & (width - 1)) != 0) fail(where, "shuffle: width %d isn't a power of two up to 32", width);
  return lane() & ~(width - 1);
}

}  // namespace hostcuda

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize, hostcuda::Where where = hostcuda::Where::here()) {
  const int first = hostcuda::first_of_group(width, where);
  return hostcuda::shuffle(hostcuda::WarpOperation::shfl, mask, value, first + (source & (width - 1)), where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = warpSize, hostcuda::Where where = hostcuda::Where::here()) {
  const int first = hostcuda::first_of_group(width, where), self = hostcuda::lane(), source = self - static_cast<int>(distance);
  return hostcuda::shuffle(hostcuda::WarpOperation::shfl_up, mask, value, source < first ? self : source, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = warpSize, hostcuda::Where where = hostcuda::Where::here()) {
  const int first = hostcuda::first_of_group(width, where), self = hostcuda::lane(), source = self + static_cast<int>(distance);
  return hostcuda::shuffle(hostcuda::WarpOperation::shfl_down, mask, value, source >= first + width ? self : source, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = warpSize, hostcuda::Where where = hostcuda::Where::here()) {
  const int first = hostcuda::first_of_group(width, where), self = hostcuda::lane(), source = self ^ bits;
  return hostcuda::shuffle(hostcuda::WarpOperation::shfl_xor, mask, value, source >= first + width ? self : source, where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, hostcuda::Where where = hostcuda::Where::here()) {
  return static_cast<unsigned>(hostcuda::vote(hostcuda::WarpOperation::ballot, mask, predicate != 0, where));
}
inline int __any_sync(unsigned mask, int predicate, hostcuda::Where where = hostcuda::Where::here()) {
  return static_cast<int>(hostcuda::vote(hostcuda::WarpOperation::any, mask, predicate != 0, where));
}
inline int __all_sync(unsigned mask, int predicate, hostcuda::Where where = hostcuda::Where::here()) {
  return static_cast<int>(hostcuda::vote(hostcuda::WarpOperation::all, mask, predicate != 0, where));
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, hostcuda::Where where = hostcuda::Where::here()) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return static_cast<unsigned>(hostcuda::vote(hostcuda::WarpOperation::match_any, mask, bits, where));
}

inline void __threadfence() { hostcuda::memory_fence(); }
inline void __threadfence_block() { hostcuda::memory_fence(); }
[[noreturn]] inline void __trap(hostcuda::Where where = hostcuda::Where::here()) { hostcuda::fail(where, "__trap"); }
