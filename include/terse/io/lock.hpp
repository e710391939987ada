#pragma once
#include <sys/file.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/io/file.hpp>

namespace terse::io {

/// A folder that one process at a time works in (flock): the lock ends with this object, or with the process, however it dies.
///
/// Errors     Failure::cannot_write: another process has it, or it can't be opened
class FolderLock {
 public:
  explicit FolderLock(const std::filesystem::path& folder) : folder_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (!folder_.is_open()) fail(Failure::cannot_write, folder.string(), ": cannot be opened: ", std::strerror(errno));
    if (::flock(folder_.number(), LOCK_EX | LOCK_NB) == 0) return;
    if (errno == EWOULDBLOCK) fail(Failure::cannot_write, folder.string(), ": another run is working in it; wait for it, or name another folder with --out");
    fail(Failure::cannot_write, folder.string(), ": cannot be locked: ", std::strerror(errno), "; name a folder on a local disk with --out");
  }

 private:
  Descriptor folder_;
};

namespace detail {

/// True for .NAME.PID-N.tmp, as temporary_beside makes it, where no process PID is left.
inline bool is_left_behind(std::string_view name) {
  if (!name.starts_with('.') || !name.ends_with(".tmp")) return false;
  name.remove_suffix(4);
  const auto dot = name.rfind('.');
  if (dot == 0 || dot == std::string_view::npos) return false;
  const char *first = name.data() + dot + 1, *const last = name.data() + name.size();
  int process = 0, attempt = 0;
  const auto [dash, no_process] = std::from_chars(first, last, process);
  if (no_process != std::errc() || process <= 0 || dash == last || *dash != '-') return false;
  const auto [end, no_attempt] = std::from_chars(dash + 1, last, attempt);
  return no_attempt == std::errc() && end == last && ::kill(process, 0) != 0 && errno == ESRCH;
}

}  // namespace detail

/// Removes what killed processes left half-written in `folder`: files and folders under the temporary names of AtomicFile and AtomicFolder.
inline void remove_temporaries(const std::filesystem::path& folder) {
  std::error_code error;
  std::vector<std::filesystem::path> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (detail::is_left_behind(entry.path().filename().string())) left.push_back(entry.path());
  }
  for (const auto& path : left) std::filesystem::remove_all(path, error);
}

}  // namespace terse::io
