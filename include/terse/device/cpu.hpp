#pragma once
/// The CPU as a device: the first argument of every op. Its overload of an op is the specification.

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include <sys/mman.h>

#include <terse/core/error.hpp>
#include <terse/core/shape.hpp>
#include <terse/device/blas.hpp>
#include <terse/device/isa.hpp>
#include <terse/device/openmp.hpp>
#include <terse/device/pages.hpp>

namespace terse::inline TERSE_ISA {

/// A block of memory on the CPU, uninitialised, at a multiple of alignment_bytes; freed when it dies.
///
/// Errors     Failure::device: the system has no more
class CpuMemory {
 public:
  CpuMemory() = default;
  explicit CpuMemory(std::size_t bytes, Pages pages = Pages::huge) : bytes_(bytes) {
    constexpr std::size_t huge_page = std::size_t{2} << 20;
    const std::size_t alignment = pages == Pages::huge && bytes >= huge_page ? huge_page : alignment_bytes;
    void* memory = std::aligned_alloc(alignment, round_up(bytes == 0 ? std::size_t{1} : bytes, alignment));
    if (memory == nullptr) fail(Failure::device, "cpu out of memory: ", bytes, " bytes needed; try a smaller --batch");
    if (alignment == huge_page) madvise(memory, round_up(bytes, alignment), MADV_HUGEPAGE);
    memory_.reset(static_cast<std::byte*>(memory));
  }
  std::byte* data() const { return memory_.get(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t bytes_ = 0;
};

/// One rank's share of the CPU: a team of threads, and scratch memory for ops that must convert their inputs.
/// Not shared between ranks; not copyable.
class Cpu {
 public:
  using Memory = CpuMemory;
  /// An op has done its work when it returns.
  static constexpr bool runs_behind = false;
  /// Bytes that the libraries it calls take beside the workspace, as far as we give them.
  static constexpr std::size_t library_bytes(int /*capability*/) { return 0; }

  /// `threads` 0: as many as OpenMP would use (OMP_NUM_THREADS, else one a core). Compiled without OpenMP: one, whatever is asked.
  explicit Cpu(int threads = 0) : threads_(openmp::team(threads)) {}
  Cpu(const Cpu&) = delete;
  Cpu& operator=(const Cpu&) = delete;

  /// Threads of the team, this one included.
  int threads() const { return threads_; }
  /// Uninitialised memory.
  /// Errors     Failure::device: there is none left
  Memory allocate(std::size_t bytes, Pages pages = Pages::huge) { return Memory(bytes, pages); }

  /// Sets bytes, to zero if nothing else is said. By all threads: of fresh memory the system clears each page when it is first written, which takes far longer.
  void clear(void* memory, std::size_t bytes, std::byte value = {}) const {
    constexpr std::size_t piece = std::size_t{4} << 20;
    parallel_for(static_cast<Index>(divide_up(bytes, piece)), [=](Index p) {
      const std::size_t first = static_cast<std::size_t>(p) * piece;
      std::memset(static_cast<std::byte*>(memory) + first, std::to_integer<int>(value), std::min(piece, bytes - first));
    });
  }
  /// Between the host's memory and the device's, which here are one: a copy.
  void copy_from_host(void* to, const void* from, std::size_t bytes) const { std::memcpy(to, from, bytes); }
  void copy_to_host(void* to, const void* from, std::size_t bytes) const { std::memcpy(to, from, bytes); }

  /// Sets aside `bytes` for matmuls whose inputs must be converted; called before the loop, with the plan's number.
  void reserve_workspace(std::size_t bytes) {
    if (bytes > workspace_.bytes()) workspace_ = Memory(bytes);
  }
  /// What was reserved; one op at a time uses it.
  const Memory& workspace() const { return workspace_; }
  /// The library that multiplies large matrices.
  Blas& blas() { return blas_; }

  /// Sets aside `bytes` for each thread of the team; called before the loop, with the plan's number.
  void reserve_thread_scratch(std::size_t bytes) {
    const std::size_t each = round_up(bytes, alignment_bytes);
    if (each * static_cast<std::size_t>(threads_) > thread_scratch_.bytes()) thread_scratch_ = Memory(each * static_cast<std::size_t>(threads_));
  }
  /// The calling thread's part, at least as large as was reserved.
  std::byte* thread_scratch() const {
    return thread_scratch_.data() + thread_scratch_.bytes() / static_cast<std::size_t>(threads_) * static_cast<std::size_t>(openmp::thread_number());
  }
  /// Bytes that each thread has.
  std::size_t thread_scratch_bytes() const { return thread_scratch_.bytes() / static_cast<std::size_t>(threads_); }

  /// Calls body(i) for i in [0, count), in any order, on this rank's threads. Each i is one thread's, so results that depend
  /// on i alone don't depend on the number of threads. (A loop of its own for one thread would be another copy of the body, which
  /// the compiler may vectorize, and so round, differently.)
  template <class Body>
  void parallel_for(Index count, Body&& body) const {
    [[maybe_unused]] const int team = team_for(count);
#pragma omp parallel for num_threads(team) schedule(static)
    for (Index i = 0; i < count; ++i) body(i);
  }

  /// As parallel_for, for bodies of very different cost.
  template <class Body>
  void parallel_for_uneven(Index count, Body&& body) const {
    [[maybe_unused]] const int team = team_for(count);
#pragma omp parallel for num_threads(team) schedule(dynamic, 1)
    for (Index i = 0; i < count; ++i) body(i);
  }

 private:
  int team_for(Index count) const { return count < 1 ? 1 : static_cast<int>(count < threads_ ? count : threads_); }

  int threads_;
  Memory workspace_, thread_scratch_;
  Blas blas_;
};

}  // namespace terse::inline TERSE_ISA
