#include <terse/train/saved_state.hpp>
#include <terse/train/state_folder.hpp>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/messages.hpp"

using namespace terse;

namespace {

void save(train::StateFolder& states, long step, const std::string& content = "x") {
  states.save(step, [&](const std::filesystem::path& folder) { io::write_file(folder / "content", content); });
}

std::vector<std::string> entries_of(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("states: the newest is named, the newest few stay") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "state";
  train::StateFolder states(path, 2);
  CHECK_FALSE(states.latest());
  for (const long step : {5, 10, 100}) save(states, step);
  CHECK(states.latest() == path / "step-100");
  CHECK(entries_of(path) == std::vector<std::string>{"latest", "step-10", "step-100"});
  save(states, 100, "again");
  CHECK(io::read_file(path / "step-100" / "content") == "again");
  CHECK(entries_of(path).size() == 3);
}

TEST_CASE("states: what fails leaves the state before") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "state";
  train::StateFolder states(path, 2);
  save(states, 1);
  CHECK(message_of([&] { states.save(2, [](const std::filesystem::path&) { fail(Failure::cannot_write, "disk full"); }); }) == "disk full");
  CHECK(states.latest() == path / "step-1");
  CHECK(entries_of(path) == std::vector<std::string>{"latest", "step-1"});
}

TEST_CASE("states: one that was written but not named is left aside, and goes") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "state";
  train::StateFolder states(path, 2);
  save(states, 1);
  std::filesystem::create_directory(path / "step-9");
  CHECK(states.latest() == path / "step-1");
  save(states, 2), save(states, 3);
  CHECK(entries_of(path) == std::vector<std::string>{"latest", "step-2", "step-3"});
}

TEST_CASE("states: a name that leads nowhere is refused") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "state";
  train::StateFolder states(path, 2);
  save(states, 1);
  for (const char* name : {"step-7\n", "", "../elsewhere", "step-", "step-1x", "step--1"}) {
    CAPTURE(name);
    io::write_file(path / "latest", name);
    CHECK(contains(message_of([&] { states.latest(); }), "latest: names no state"));
  }
}

TEST_CASE("early stop counts evaluations without a better one") {
  train::EarlyStop stop{.patience = 2};
  CHECK_FALSE(stop.is_enough(0.1));
  CHECK_FALSE(stop.is_enough(0.1));
  CHECK_FALSE(stop.is_enough(0.2));
  CHECK_FALSE(stop.is_enough(0.15));
  CHECK(stop.is_enough(0.2));
  CHECK(stop.best == 0.2);
  train::EarlyStop never;
  for (int i = 0; i < 10; ++i) CHECK_FALSE(never.is_enough(0));
}
