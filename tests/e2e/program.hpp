#pragma once
// Runs terse-summarize as a user does: arguments, stdin, stdout, stderr, exit code, signals.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"

using Arguments = std::vector<std::string>;
using nlohmann::json;

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  INFO(path.string());
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A text's lines, without their ends.
inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

inline std::vector<json> json_lines_of(const std::string& text) {
  std::vector<json> objects;
  for (const auto& line : lines_of(text)) objects.push_back(json::parse(line));
  return objects;
}

/// A program that runs until `wait`, or until this object dies.
class Running {
 public:
  Running(const std::string& program, const Arguments& arguments, const std::string& input = "") {
    std::ofstream(path("in"), std::ios::binary) << input;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, path("in").c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, path("out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, path("err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    std::vector<char*> words{const_cast<char*>(program.c_str())};
    for (const auto& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    const int error = posix_spawn(&process_, program.c_str(), &files, nullptr, words.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) throw std::system_error(error, std::generic_category(), program);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (process_ < 0) return;
    ::kill(process_, SIGKILL);
    collect();
  }

  void interrupt() const { ::kill(process_, SIGINT); }
  /// The processes that it started and that still run.
  std::vector<pid_t> children() const {
    std::vector<pid_t> all;
    std::ifstream file("/proc/" + std::to_string(process_) + "/task/" + std::to_string(process_) + "/children");
    for (pid_t child = 0; file >> child;) all.push_back(child);
    return all;
  }
  /// At once, by SIGKILL; false if it had ended before.
  bool kill() {
    ::kill(process_, SIGKILL);
    return WIFSIGNALED(collect());
  }

  struct Result {
    int code = 0;  ///< a signal's number, negative, where one ended it
    std::string out, err;
  };
  Result wait() {
    const int status = collect();
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), content_of(path("out")), content_of(path("err"))};
  }

 private:
  std::filesystem::path path(const char* name) const { return streams_.path() / name; }
  int collect() {
    int status = 0;
    while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {}
    process_ = -1;
    return status;
  }

  TemporaryFolder streams_;
  pid_t process_ = -1;
};

inline Running::Result terse_summarize(const Arguments& arguments, const std::string& input = "") {
  return Running(TERSE_SUMMARIZE, arguments, input).wait();
}

/// As above, and it must end well.
inline Running::Result succeed(const Arguments& arguments, const std::string& input = "") {
  auto result = terse_summarize(arguments, input);
  CAPTURE(arguments, result.err);
  REQUIRE(result.code == 0);
  return result;
}

/// `result` begins with an error line with these words, and has this exit code.
inline void check_error(const Running::Result& result, int code, const std::vector<std::string>& words) {
  CAPTURE(result.err);
  CHECK(result.code == code);
  CHECK(result.err.starts_with(std::filesystem::path(TERSE_SUMMARIZE).filename().string() + ": error: "));
  for (const auto& word : words) {
    INFO(word);
    CHECK(result.err.find(word) != std::string::npos);
  }
}

/// The first arguments, then the others.
inline Arguments operator+(Arguments first, const Arguments& others) {
  first.insert(first.end(), others.begin(), others.end());
  return first;
}

/// Files that a writer left behind before they got their name.
inline std::vector<std::string> temporary_files(const std::filesystem::path& folder) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.path().filename().string().starts_with('.') || entry.path().extension() == ".tmp") found.push_back(entry.path().string());
  return found;
}
