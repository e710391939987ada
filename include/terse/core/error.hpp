#pragma once
/// One error type for the whole library; a program turns it into one line on stderr and an exit code.

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace terse {

/// Why something failed. The values are the exit codes of the programs (docs/cli.md).
enum class Failure {
  internal = 1,
  usage = 2,
  bad_input = 3,     ///< names the file and the row, column or tensor
  device = 4,        ///< no such device, or out of memory
  rank = 5,          ///< a rank failed
  cannot_write = 6,  ///< disk full, not writable, in use
  interrupted = 130,
};

/// The message is one line, says what is wrong and how to mend it, and has no trailing full stop.
class Error : public std::runtime_error {
 public:
  Error(Failure failure, const std::string& message) : std::runtime_error(message), failure_(failure) {}
  /// What failed.
  Failure failure() const noexcept { return failure_; }
  /// The same as a program's exit code.
  int exit_code() const noexcept { return static_cast<int>(failure_); }

 private:
  Failure failure_;
};

/// The parts written one after the other, as by `std::ostream <<` (g++ 11 has no std::format).
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

/// Throws Error; the message is `concat(parts...)`.
template <class... Parts>
[[noreturn]] void fail(Failure failure, const Parts&... parts) {
  throw Error(failure, concat(parts...));
}

/// For a static_assert in a template that nothing but a mistake instantiates.
template <class...>
inline constexpr bool mistaken = false;

}  // namespace terse
