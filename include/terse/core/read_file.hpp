#pragma once
/// Whole files into memory.

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <terse/core/error.hpp>

namespace terse {

/// The bytes of a file or a pipe. `hint`: what to do where it can't be read, for the message.
/// Errors     Failure::bad_input, with the path and the system's reason
inline std::string read_file(const std::filesystem::path& path, std::string_view hint = "is the name right?") {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rbe"));
  std::string bytes;
  char piece[1 << 16];
  std::size_t size = 0;
  while (file && (size = std::fread(piece, 1, sizeof piece, file.get())) > 0) bytes.append(piece, size);
  if (!file || std::ferror(file.get()) != 0) fail(Failure::bad_input, path.string(), ": cannot be read: ", std::strerror(errno), "; ", hint);
  return bytes;
}

}  // namespace terse
