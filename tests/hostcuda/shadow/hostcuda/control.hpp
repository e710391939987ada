#pragma once
// What tests say to the machine, and ask of it.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hostcuda {

/// The order of everything whose order CUDA leaves open: CUDA threads between waits, blocks, streams, landings of asynchronous copies.
/// 0: the plainest one. At the start HOSTCUDA_SEED, else 0.
void set_seed(std::uint64_t);
std::uint64_t seed();
/// As many seeds as a test tries: HOSTCUDA_SEEDS, else 3; from HOSTCUDA_SEED on, else from 0.
std::vector<std::uint64_t> seeds();

/// Whether cuBLASLt's heuristic finds anything for products with an epilogue; true at the start. Which card has which isn't documented.
void set_epilogues(bool);

/// Compute capability of all devices, 75 or 80. At the start HOSTCUDA_CAPABILITY, else 80.
void set_capability(int);
/// Bytes that each device has; at the start HOSTCUDA_MEMORY, else a T4's: 14.56 GiB.
void set_memory(std::size_t bytes);
/// Bytes that a device's live allocations asked for, each rounded up to 256; and the most there have been since the start or the last reset.
std::size_t memory_used(int device);
std::size_t peak_memory_used(int device);

/// Leaves out the synchronisation, or loosens the bounds check, at a place: "file:line", or "file:line@kernel" for one kernel's alone; "": none. At the
/// start HOSTCUDA_OMIT.
void omit(const std::string& place);

/// What the machine found last, in words; empty if nothing since the last reset.
std::string last_report();
/// Of the current device: drops queued work, and an error that stays (as those of kernels do). Allocations, streams and events remain.
void reset();

/// Counts since the start or the last reset.
struct Statistics {
  std::uint64_t launches = 0, graphs = 0, blocks = 0, threads = 0, switches = 0, barriers = 0, warp_operations = 0;
};
Statistics statistics();

}  // namespace hostcuda
