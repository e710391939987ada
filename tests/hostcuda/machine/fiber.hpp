#pragma once
// A stack that code runs on until it gives way to another one.

#include <cstddef>

#include "sanitizers.hpp"

namespace hostcuda {

/// Switching takes some 5 ns. A fiber that is left behind for good is remade: kernels own nothing that would have to be destroyed, and
/// unwinding would meet noexcept. (Boost.Context's public fiber unwinds, so its layer below is used.)
class Fiber {
 public:
  using Entry = void (*)();   // never returns

  /// The stack that the caller runs on.
  Fiber();
  /// A stack of its own, on which `entry` begins at the first switch to it.
  explicit Fiber(Entry entry);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  /// Forgets what ran on it; it begins at its entry again.
  void remake();
  /// Goes on where `to` last gave way; comes back when something switches to *this.
  void switch_to(Fiber& to);
  /// For the caller's own stack, whose identity may be another at each run.
  void set_identity(void* identity) { identity_ = identity; }

  bool overflowed_at(const void* address) const;
  /// An address in the middle of the stack: for a handler that must leave a stack without room.
  void* middle() const { return base_ + bytes_ / 2; }

  int thread = -1;   ///< the CUDA thread that runs on it

 private:
  Entry entry_ = nullptr;
  void* context_ = nullptr;
  unsigned char* base_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t offset_ = 0;
  void* fake_stack_ = nullptr;
  void* identity_ = nullptr;
};

}  // namespace hostcuda
