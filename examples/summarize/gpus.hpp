#pragma once
// The GPUs that this program can compute on.
#include <cstdint>
#include <string>
#include <vector>

namespace summarize {

struct Gpu {
  std::string name;
  int capability = 0;                     ///< ten times the major number plus the minor one: 75 for a T4
  std::uint64_t memory = 0, free_memory = 0;  ///< bytes
};

/// Those that CUDA shows, in its order; none in a program that was built without CUDA. Each is looked at once.
const std::vector<Gpu>& usable_gpus();

/// Why there are none, for messages: that the program was built without CUDA, or what CUDA says.
std::string why_no_gpu();

}  // namespace summarize
