#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace hostcuda {

/// From the environment at the start; tests change them by hostcuda/control.hpp.
struct Options {
  std::uint64_t seed;            ///< HOSTCUDA_SEED, 0: the plainest order of everything
  int devices;                   ///< HOSTCUDA_DEVICES, 2
  int capability;                ///< HOSTCUDA_CAPABILITY, 80 (or 75)
  std::size_t memory;            ///< HOSTCUDA_MEMORY, bytes of each device; a T4's 14.56 GiB
  double patience;               ///< HOSTCUDA_PATIENCE, seconds without progress before a wait is given up as one that never ends; 20
  bool epilogues;                ///< cuBLASLt's heuristic finds products with an epilogue
  bool hide_device_memory;       ///< HOSTCUDA_HIDE=0: the host may read device memory unnoticed (it isn't hidden between launches: faster)
};
Options& options();

/// Shared memory that a block can have, as the devices of this capability.
struct SharedLimits {
  std::size_t without_asking, opt_in, per_multiprocessor;
};
SharedLimits shared_limits();

}  // namespace hostcuda
