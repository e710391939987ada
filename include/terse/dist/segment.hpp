#pragma once
/// What processes of one machine need to talk: memory that all see, a wait that others can end, and whether another one still lives. Linux.

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <climits>
#include <cstring>
#include <string>
#include <utility>

#include <terse/core/descriptor.hpp>
#include <terse/core/error.hpp>

namespace terse::dist {

/// Named memory that processes share (shm_open): zeros when it is created, gone with the last process once its name is removed.
class Segment {
 public:
  Segment() = default;
  /// Nothing where the name exists (create) or doesn't (open), or where it isn't as large yet.
  /// Errors     Failure::device: the system gives none
  static Segment create(const std::string& name, std::size_t bytes) {
    const Descriptor file(::shm_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
    if (!file.is_open()) return errno == EEXIST ? Segment() : refused(name);
    // Not ftruncate: where /dev/shm is too small that is found only by a SIGBUS at the first write.
    if (const int error = ::posix_fallocate(file.number(), 0, static_cast<off_t>(bytes)); error != 0) {
      ::shm_unlink(name.c_str());
      fail(Failure::device, "/dev/shm: no ", bytes, " bytes for ranks to talk through: ", std::strerror(error), "; free some, or in a container give it more (docker run --shm-size 1g)");
    }
    try {
      return map(name, file, bytes);
    } catch (...) {
      ::shm_unlink(name.c_str());
      throw;
    }
  }
  static Segment open(const std::string& name, std::size_t bytes) {
    const Descriptor file(::shm_open(name.c_str(), O_RDWR | O_CLOEXEC, 0));
    if (!file.is_open()) return errno == ENOENT ? Segment() : refused(name);
    const off_t there = ::lseek(file.number(), 0, SEEK_END);
    return there < static_cast<off_t>(bytes) ? Segment() : map(name, file, bytes);
  }
  static void remove(const std::string& name) { ::shm_unlink(name.c_str()); }

  Segment(Segment&& other) noexcept : memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_) {}
  Segment& operator=(Segment&& other) noexcept {
    std::swap(memory_, other.memory_), std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Segment() {
    if (memory_ != nullptr) ::munmap(memory_, bytes_);
  }
  std::byte* data() const { return static_cast<std::byte*>(memory_); }
  explicit operator bool() const { return memory_ != nullptr; }

 private:
  static Segment refused(const std::string& name) {
    fail(Failure::device, "/dev/shm", name, ": ", std::strerror(errno), errno == EACCES ? "; another user's run has this name: give this one another port or run id" : "");
  }
  static Segment map(const std::string& name, const Descriptor& file, std::size_t bytes) {
    Segment segment;
    segment.memory_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.number(), 0), segment.bytes_ = bytes;
    if (segment.memory_ == MAP_FAILED) segment.memory_ = nullptr, refused(name);
    return segment;
  }

  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

/// A process, told from a later one that has its number: pidfd_open (Linux 5.3); before, and where it is forbidden, its number alone.
class Process {
 public:
  Process() = default;
  explicit Process(pid_t number) : number_(number), descriptor_(static_cast<int>(::syscall(SYS_pidfd_open, number, 0))) {}
  pid_t number() const { return number_; }
  /// It is there and isn't a zombie (one that ended, and nobody asked about).
  bool lives() const {
    if (!descriptor_.is_open()) return ::kill(number_, 0) == 0 || errno == EPERM;
    pollfd ended{descriptor_.number(), POLLIN, 0};
    return ::poll(&ended, 1, 0) < 1;
  }

 private:
  pid_t number_ = 0;
  Descriptor descriptor_;
};

/// Sleeps while `value` is `old`, at most so long: until wake_all, or for no reason.
inline void wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old, std::chrono::milliseconds most) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(most);
  const timespec time{static_cast<time_t>(seconds.count()), static_cast<long>(std::chrono::nanoseconds(most - seconds).count())};
  ::syscall(SYS_futex, &value, FUTEX_WAIT, old, &time, nullptr, 0);  // std::atomic's own wait works inside one process only
}
/// Everyone who waits in wait_while.
inline void wake_all(const std::atomic<std::uint32_t>& value) { ::syscall(SYS_futex, &value, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); }

}  // namespace terse::dist
