#pragma once
// What the machine tells AddressSanitizer and ThreadSanitizer; nothing in the plain build.
//
// For ThreadSanitizer the machine itself isn't instrumented (it is compiled without -fsanitize=thread, with HOSTCUDA_TSAN): only kernels
// and host code are watched. Each CUDA thread and each stream is a thread of its own to it, and orders are told by release and acquire
// where CUDA orders, nowhere else.

#include <cstddef>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#define HOSTCUDA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOSTCUDA_ASAN 1
#endif
#endif

#if defined(HOSTCUDA_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(HOSTCUDA_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

#if defined(HOSTCUDA_TSAN)
extern "C" void __tsan_ignore_thread_begin();   // in no header
extern "C" void __tsan_ignore_thread_end();
extern "C" void __tsan_read_range(const void*, unsigned long);
extern "C" void __tsan_write_range(void*, unsigned long);
#endif

namespace hostcuda {

#if defined(HOSTCUDA_ASAN)
inline constexpr bool with_asan = true;
inline void forbid(const void* from, std::size_t bytes) { __asan_poison_memory_region(from, bytes); }
inline void allow(const void* from, std::size_t bytes) { __asan_unpoison_memory_region(from, bytes); }
#else
inline constexpr bool with_asan = false;
inline void forbid(const void*, std::size_t) {}
inline void allow(const void*, std::size_t) {}
#endif

/// An address whose release and acquire order two identities.
using SyncPoint = char;

#if defined(HOSTCUDA_TSAN)
inline constexpr bool with_tsan = true;
inline void release(SyncPoint* point) { __tsan_release(point); }
inline void acquire(SyncPoint* point) { __tsan_acquire(point); }
inline void* make_identity() { return __tsan_create_fiber(0); }
inline void end_identity(void* identity) { __tsan_destroy_fiber(identity); }
inline void* this_identity() { return __tsan_get_current_fiber(); }
inline void become(void* identity) { __tsan_switch_to_fiber(identity, 1); }  // 1: the switch itself orders nothing
/// Not memset: that is watched even when called from code that isn't.
inline void fill(void* to, unsigned char value, std::size_t bytes) {
  auto* byte = static_cast<volatile unsigned char*>(to);
  for (std::size_t i = 0; i < bytes; ++i) byte[i] = value;
}
#else
inline constexpr bool with_tsan = false;
inline void release(SyncPoint*) {}
inline void acquire(SyncPoint*) {}
inline void* make_identity() { return nullptr; }
inline void end_identity(void*) {}
inline void* this_identity() { return nullptr; }
inline void become(void*) {}
inline void fill(void* to, unsigned char value, std::size_t bytes) { std::memset(to, value, bytes); }
#endif

/// While it lives, ThreadSanitizer doesn't see what this thread does. Inline functions that tests have too, as those of shared_ptr, are
/// compiled for it wherever the linker took them from.
class Unseen {
 public:
#if defined(HOSTCUDA_TSAN)
  Unseen() { __tsan_ignore_thread_begin(); }
  ~Unseen() { __tsan_ignore_thread_end(); }
#else
  Unseen() {}
  ~Unseen() {}
#endif
  Unseen(const Unseen&) = delete;
};
/// Inside the life of an Unseen: what happens to the user's memory, which is to be seen.
class Seen {
 public:
#if defined(HOSTCUDA_TSAN)
  Seen() { __tsan_ignore_thread_end(); }
  ~Seen() { __tsan_ignore_thread_begin(); }
#else
  Seen() {}
  ~Seen() {}
#endif
  Seen(const Seen&) = delete;
};

/// A stream's accesses to the user's memory, made where they are unseen.
#if defined(HOSTCUDA_TSAN)
inline void tell_read(const void* from, std::size_t bytes) {
  const Seen seen;
  __tsan_read_range(from, bytes);
}
inline void tell_write(const void* to, std::size_t bytes) {
  const Seen seen;
  __tsan_write_range(const_cast<void*>(to), bytes);
}
#else
inline void tell_read(const void*, std::size_t) {}
inline void tell_write(const void*, std::size_t) {}
#endif

/// What fresh memory holds: NaN in every float format, -1 in every integer.
inline constexpr unsigned char poison = 0xFF;

}  // namespace hostcuda
