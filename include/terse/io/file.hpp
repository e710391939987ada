#pragma once
/// Files as a program needs them: mapped for reading; written whole or not at all. Linux (POSIX) only.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <terse/core/descriptor.hpp>
#include <terse/core/error.hpp>
#include <terse/core/read_file.hpp>

namespace terse::io {

namespace detail {

[[noreturn]] inline void cannot_read(const std::filesystem::path& path, int error) {
  fail(Failure::bad_input, path.string(), ": cannot be read: ", std::strerror(error), "; is the name right?");
}

[[noreturn]] inline void cannot_write(const std::filesystem::path& path, int error) {
  fail(Failure::cannot_write, path.string(), ": cannot be written: ", std::strerror(error), error == ENOSPC ? "; free some space" : error == EFBIG ? "; raise the limit (ulimit -f)" : "");
}

/// Makes a new entry beside `path`, on the same file system, under a name nobody uses: `make(name)` says whether it could.
template <class Make>
std::filesystem::path temporary_beside(const std::filesystem::path& path, Make make) {
  for (int attempt = 0;; ++attempt) {
    const auto name = path.parent_path() / concat(".", path.filename().string(), ".", ::getpid(), "-", attempt, ".tmp");
    if (make(name)) return name;
    if (errno != EEXIST) cannot_write(path, errno);
  }
}

/// Makes a rename in `folder` survive a power cut. Best effort: some file systems can't sync a folder.
inline void sync_folder(const std::filesystem::path& folder) {
  const Descriptor descriptor(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.is_open()) ::fsync(descriptor.number());
}

/// Has the system write a file's content to the disk.
inline void sync_file(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open() || ::fsync(file.number()) != 0) cannot_write(path, errno);
}

/// Writes all of it.
inline void write_all(const Descriptor& file, const std::filesystem::path& path, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.number(), bytes.data(), bytes.size());
    if (written >= 0) bytes = bytes.subspan(static_cast<std::size_t>(written));
    else if (errno != EINTR) cannot_write(path, errno);
  }
}

}  // namespace detail

/// A whole file, read-only, mapped into memory: nothing is read before it is looked at.
///
/// Whoever rewrites such a file must rename a new one into its place (as AtomicFile does): a file cut short while it is
/// mapped ends the process with SIGBUS.
///
/// Errors     Failure::bad_input: it is not there, not readable, or not a regular file
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path) : path_(path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    if (!file.is_open() || ::fstat(file.number(), &status) != 0) detail::cannot_read(path, errno);
    if (S_ISDIR(status.st_mode)) detail::cannot_read(path, EISDIR);
    if (!S_ISREG(status.st_mode)) fail(Failure::bad_input, path.string(), ": not a regular file; copy it to one first");
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0) return;  // nothing to map, and mmap refuses it
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number(), 0);
    if (memory == MAP_FAILED) detail::cannot_read(path, errno);
    bytes_ = {static_cast<const std::byte*>(memory), size};
  }
  MappedFile(MappedFile&& other) noexcept
      : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, std::span<const std::byte>{})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MappedFile() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }

  /// As it was opened.
  const std::filesystem::path& path() const { return path_; }
  /// Valid as long as this object, also after it was moved from one to another.
  std::span<const std::byte> bytes() const { return bytes_; }
  /// The same as characters.
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

/// A file that appears under its name complete, or not at all: written beside it under a temporary name, synced to the disk,
/// renamed by `commit`. Without `commit` (an exception) nothing of it stays, and what was there before is untouched.
/// A device or a pipe is written directly.
///
/// Errors     Failure::cannot_write, with the path and the system's reason (disk full, not writable, …)
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
    std::error_code ignored;
    const auto status = std::filesystem::status(path_, ignored);
    if (std::filesystem::is_directory(status)) detail::cannot_write(path_, EISDIR);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
      file_ = Descriptor(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
      if (!file_.is_open()) detail::cannot_write(path_, errno);
      return;
    }
    temporary_ = detail::temporary_beside(path_, [&](const std::filesystem::path& name) {
      file_ = Descriptor(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      return file_.is_open();
    });
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  /// Appends; may be called any number of times before `commit`.
  void write(std::span<const std::byte> bytes) { detail::write_all(file_, path_, bytes); }
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  /// From here on the file is there, whole, whatever happens to the machine.
  void commit() {
    if (!temporary_.empty() && ::fsync(file_.number()) != 0) detail::cannot_write(path_, errno);
    if (const int error = file_.close()) detail::cannot_write(path_, error);
    if (temporary_.empty()) return;
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) detail::cannot_write(path_, errno);
    temporary_.clear();
    detail::sync_folder(path_.parent_path());
  }

 private:
  std::filesystem::path path_, temporary_;
  Descriptor file_;
};

/// A folder that appears under its name complete, or not at all: fill `path()` with files, then `commit`. What was there
/// under that name before is replaced in one step (the old folder is removed after the exchange).
///
/// Errors     Failure::cannot_write, with the path and the system's reason
class AtomicFolder {
 public:
  explicit AtomicFolder(std::filesystem::path path) : path_(std::move(path)) {
    if (path_.filename().empty()) path_ = path_.parent_path();  // "best/" is "best"
    temporary_ = detail::temporary_beside(
        path_, [](const std::filesystem::path& name) { return ::mkdir(name.c_str(), 0777) == 0; });
  }
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  ~AtomicFolder() {
    std::error_code ignored;
    if (!temporary_.empty()) std::filesystem::remove_all(temporary_, ignored);
  }

  /// Where the files go until `commit`.
  const std::filesystem::path& path() const { return temporary_; }

  /// From here on the folder is there, whole, whatever happens to the machine: its files are synced too, whoever wrote them.
  void commit() {
    for (const auto& entry : std::filesystem::directory_iterator(temporary_))
      if (entry.is_regular_file()) detail::sync_file(entry.path());
    detail::sync_folder(temporary_);
    if (::rename(temporary_.c_str(), path_.c_str()) == 0) temporary_.clear();
    else if (errno != ENOTEMPTY && errno != EEXIST) detail::cannot_write(path_, errno);
    else exchange();
    detail::sync_folder(path_.parent_path());
  }

 private:
  // Leaves the old folder under the temporary name; the destructor removes it.
  void exchange() {
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) == 0) return;
    if (errno != EINVAL && errno != ENOSYS) detail::cannot_write(path_, errno);
    const auto old = detail::temporary_beside(path_, [&](const std::filesystem::path& name) {  // network file systems
      return ::access(name.c_str(), F_OK) == 0 ? (errno = EEXIST, false) : ::rename(path_.c_str(), name.c_str()) == 0;
    });
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
      const int error = errno;
      std::rename(old.c_str(), path_.c_str());
      detail::cannot_write(path_, error);
    }
    temporary_ = old;
  }

  std::filesystem::path path_, temporary_;
};

/// Writes a whole small file; see AtomicFile.
inline void write_file(const std::filesystem::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

using terse::read_file;

}  // namespace terse::io
