#include <terse/io/file.hpp>
#include <terse/io/lock.hpp>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/files.hpp"

using namespace terse;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> entries(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

Failure failure_of(auto&& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.failure();
  }
  return Failure::internal;
}

}  // namespace

TEST_CASE("a file is read as it was written") {
  const TemporaryFolder folder;
  const std::string content("two\nlines\0and a zero", 20);
  io::write_file(folder.path() / "a", content);
  CHECK(io::read_file(folder.path() / "a") == content);
  io::write_file(folder.path() / "a", "shorter");
  CHECK(io::read_file(folder.path() / "a") == "shorter");
  io::write_file(folder.path() / "empty", "");
  CHECK(io::read_file(folder.path() / "empty").empty());
  CHECK(entries(folder.path()) == std::vector<std::string>{"a", "empty"});
}

TEST_CASE("a mapping outlives a move and the file's replacement") {
  const TemporaryFolder folder;
  io::write_file(folder.path() / "a", "before");
  io::MappedFile first(folder.path() / "a");
  const auto text = first.text();
  const io::MappedFile second = std::move(first);
  io::write_file(folder.path() / "a", "after");
  CHECK(text == "before");
  CHECK(second.text().data() == text.data());
}

TEST_CASE("a file that can't be read says why") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(io::MappedFile(folder.path() / "none"),
                    (folder.path() / "none").string() + ": cannot be read: No such file or directory; is the name right?");
  CHECK_THROWS_WITH(io::MappedFile(folder.path()), folder.path().string() + ": cannot be read: Is a directory; is the name right?");
  CHECK(failure_of([&] { io::MappedFile("/dev/null"); }) == Failure::bad_input);
}

TEST_CASE("without commit nothing stays and the old file is untouched") {
  const TemporaryFolder folder;
  io::write_file(folder.path() / "a", "old");
  {
    io::AtomicFile file(folder.path() / "a");
    file.write("new");
    CHECK(io::read_file(folder.path() / "a") == "old");
    CHECK(entries(folder.path()).size() == 2);
  }
  CHECK(io::read_file(folder.path() / "a") == "old");
  CHECK(entries(folder.path()) == std::vector<std::string>{"a"});
}

TEST_CASE("two writers of one file don't meet before their commits") {
  const TemporaryFolder folder;
  io::AtomicFile first(folder.path() / "a"), second(folder.path() / "a");
  first.write("first");
  second.write("second");
  first.commit();
  second.commit();
  CHECK(io::read_file(folder.path() / "a") == "second");
  CHECK(entries(folder.path()).size() == 1);
}

TEST_CASE("a new file has the permissions of any other") {
  const TemporaryFolder folder;
  io::write_file(folder.path() / "ours", "");
  std::ofstream(folder.path() / "plain") << "";
  CHECK(fs::status(folder.path() / "ours").permissions() == fs::status(folder.path() / "plain").permissions());
}

TEST_CASE("what can't be written is exit 6, named") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(io::write_file(folder.path() / "no" / "a", "x"),
                    (folder.path() / "no" / "a").string() + ": cannot be written: No such file or directory");
  CHECK_THROWS_WITH(io::write_file(folder.path(), "x"), folder.path().string() + ": cannot be written: Is a directory");
  CHECK(failure_of([&] { io::write_file(folder.path() / "no" / "a", "x"); }) == Failure::cannot_write);
  CHECK(failure_of([&] { io::write_file("/dev/full", "x"); }) == Failure::cannot_write);
  io::write_file("/dev/null", "a device is written directly");
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("a folder appears whole, and replaces the old one whole") {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "best";
  {
    io::AtomicFolder made(target / "");
    io::write_file(made.path() / "a", "1");
    io::write_file(made.path() / "b", "1");
    CHECK(!fs::exists(target));
    made.commit();
  }
  CHECK(entries(target) == std::vector<std::string>{"a", "b"});
  {
    io::AtomicFolder made(target);
    io::write_file(made.path() / "a", "2");
    made.commit();
  }
  CHECK(entries(target) == std::vector<std::string>{"a"});
  CHECK(io::read_file(target / "a") == "2");
  { io::AtomicFolder abandoned(target); }
  CHECK(entries(folder.path()) == std::vector<std::string>{"best"});
  CHECK(io::read_file(target / "a") == "2");
}

TEST_CASE("a folder doesn't replace a file") {
  const TemporaryFolder folder;
  io::write_file(folder.path() / "best", "a file");
  CHECK(failure_of([&] {
          io::AtomicFolder made(folder.path() / "best");
          made.commit();
        }) == Failure::cannot_write);
  CHECK(io::read_file(folder.path() / "best") == "a file");
  CHECK(entries(folder.path()) == std::vector<std::string>{"best"});
}

TEST_CASE("only what a dead process left half-written is removed") {
  const TemporaryFolder folder;
  const int alive = static_cast<int>(::getpid());
  int dead = 4194304;  // no Linux numbers processes so high
  const auto name = [](const std::string& of, int process) { return "." + of + "." + std::to_string(process) + "-0.tmp"; };
  const std::vector<std::string> stay{".mine.tmp", ".mine.x-0.tmp", ".mine.12.tmp", name("busy", alive), name("", dead).substr(1), "kept"};
  for (const auto& file : stay) io::write_file(folder.path() / file, "");
  auto sorted = stay;
  std::ranges::sort(sorted);
  io::write_file(folder.path() / name("model.safetensors", dead), "");
  fs::create_directories(folder.path() / name("best", dead) / "inside");
  io::remove_temporaries(folder.path());
  CHECK(entries(folder.path()) == sorted);
}
