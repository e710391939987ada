#pragma once
#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
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
  detail::Descriptor folder_;
};

/// Removes what a killed process left half-written in `folder`: files and folders under the temporary names of AtomicFile and AtomicFolder.
/// For whoever holds the folder's lock.
inline void remove_temporaries(const std::filesystem::path& folder) {
  std::error_code error;
  std::vector<std::filesystem::path> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with('.') && name.ends_with(".tmp")) left.push_back(entry.path());
  }
  for (const auto& path : left) std::filesystem::remove_all(path, error);
}

}  // namespace terse::io
