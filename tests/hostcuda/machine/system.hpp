#pragma once
// Memory straight from the system.

#include <sys/mman.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace hostcuda {

inline constexpr std::size_t page = 4096;
constexpr std::size_t round_up(std::size_t value, std::size_t to) { return (value + to - 1) / to * to; }

/// `bytes` (a multiple of the page) with a page before and one behind that can't be accessed.
inline unsigned char* map_between_guards(std::size_t bytes) {
  void* const memory = mmap(nullptr, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("hostcuda: mmap");
    std::abort();
  }
  auto* const begin = static_cast<unsigned char*>(memory) + page;
  mprotect(begin, bytes, PROT_READ | PROT_WRITE);
  return begin;
}
inline void unmap_between_guards(unsigned char* begin, std::size_t bytes) { munmap(begin - page, bytes + 2 * page); }

}  // namespace hostcuda
