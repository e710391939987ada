#pragma once
// The GPU that a test runs on: the emulated one (tests/hostcuda), where a seed decides the order of threads, blocks and streams; or, compiled by
// nvcc (tests/gpu), a real one, which takes an order of its own each time.
#include <cstdint>
#include <vector>

#if !defined(__CUDACC__)
#include <hostcuda/control.hpp>
#endif

#include "support/catch.hpp"
#include "support/sanitized.hpp"

namespace gpu {

#if defined(__CUDACC__)
inline constexpr bool is_emulated = false;
inline std::vector<std::uint64_t> seeds() { return {0, 1}; }
inline void set_seed(std::uint64_t) {}
inline void set_epilogues(bool) {}  // cuBLASLt has those that it has
#else
inline constexpr bool is_emulated = true;
using hostcuda::seeds, hostcuda::set_seed, hostcuda::set_epilogues;
#endif

/// Calls body(bool first) under each seed; sanitizers see all orders in one.
template <class Body>
void for_each_order(Body&& body) {
  const auto all = seeds();
  for (const auto seed : all) {
    INFO("seed " << seed);
    set_seed(seed);
    body(seed == all.front());
    if (is_sanitized) break;
  }
  set_seed(all.front());
}

}  // namespace gpu
