#pragma once
// Where tests find their files.
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

/// The root of this repository.
inline std::filesystem::path source_dir() { return TERSE_SOURCE_DIR; }

/// A committed golden: tests/data/NAME, written by scripts/regenerate-goldens.
inline std::filesystem::path golden(const std::string& name) { return source_dir() / "tests" / "data" / name; }

/// The folder of dev.csv and test.csv; only tests named *_dialogsum may ask.
inline std::filesystem::path dialogsum() { return std::getenv("TERSE_TEST_DATA"); }

/// A fresh folder below the system's temporary one, removed with all it holds when this object dies.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "terse-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
    path_ = pattern;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};
