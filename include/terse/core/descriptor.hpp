#pragma once
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace terse {

/// A file descriptor, closed when this object dies.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() { close(); }

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  /// 0, or errno: some file systems report a failed write only here.
  int close() { return is_open() && ::close(std::exchange(number_, -1)) != 0 ? errno : 0; }

 private:
  int number_;
};

}  // namespace terse
