#pragma once
// The GPUs that this program can compute on.
#include <cstdint>
#include <string>
#include <vector>

namespace summarize {

struct Gpu {
  int ordinal = 0;
  std::string name;
  int capability = 0;        ///< ten times the major number plus the minor one: 75 for a T4
  std::uint64_t memory = 0;  ///< bytes
};

/// Those that CUDA shows, in its order; none in a program that was built without CUDA. Each is looked at once.
const std::vector<Gpu>& usable_gpus();

/// Bytes that are free now; 0 where CUDA doesn't say. This takes some of them: the program has a context on the GPU (and on the current one) from then on.
std::uint64_t free_memory(const Gpu&);

/// Why there are none, for messages: that the program was built without CUDA, or what CUDA says.
std::string why_no_gpu();

/// True where the program was built with NCCL, without which it uses one GPU.
bool has_nccl();

}  // namespace summarize
