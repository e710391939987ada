// Ranks as processes of one machine: real ones, made by fork.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <filesystem>
#include <functional>
#include <iterator>

#include <terse/dist/shared.hpp>

#include "ranks.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/messages.hpp"

using namespace terse;
using namespace std::chrono_literals;

namespace {

std::string new_run() {
  static int runs = 0;
  return concat("test-", ::getpid(), "-", ++runs);
}

/// How each process ended: as waitpid says it; and what it wrote.
struct Ended {
  int status = 0;
  std::string words;
  bool exited(int code) const { return WIFEXITED(status) && WEXITSTATUS(status) == code; }
};

/// Runs body(rank) in a process for each rank. Exit code 0, or that of the error, whose message is `words`; 5 is silent on all but the lowest survivor.
std::vector<Ended> in_processes(int ranks, const std::function<std::unique_ptr<dist::Shared>(int)>& meet, const std::function<void(dist::Shared&)>& body) {
  const TemporaryFolder folder;
  std::vector<pid_t> processes;
  for (int rank = 0; rank < ranks; ++rank) {
    processes.push_back(::fork());
    if (processes.back() != 0) continue;
    int code = 0;
    std::unique_ptr<dist::Shared> communicator;
    try {
      communicator = meet(rank);
      body(*communicator);
    } catch (const Error& error) {
      code = error.exit_code();
      if (error.failure() != Failure::rank || communicator == nullptr || communicator->is_lowest_survivor()) std::ofstream(folder.path() / std::to_string(rank)) << error.what();
    }
    communicator.reset();
    ::_exit(code);
  }
  std::vector<Ended> ended(processes.size());
  for (std::size_t rank = 0; rank < processes.size(); ++rank) {
    ::waitpid(processes[rank], &ended[rank].status, 0);
    std::ifstream file(folder.path() / std::to_string(rank));
    ended[rank].words.assign(std::istreambuf_iterator<char>(file), {});
  }
  return ended;
}
std::vector<Ended> in_processes(int ranks, const std::function<void(dist::Shared&)>& body, dist::Patience patience = {}) {
  const std::string run = new_run();
  return in_processes(ranks, [&](int rank) { return std::make_unique<dist::Shared>(run, rank, ranks, patience); }, body);
}

void check_all_end_well(const std::vector<Ended>& ended) {
  for (const auto& process : ended) {
    INFO(process.words);
    CHECK(process.exited(0));
  }
}

/// What runs left in /dev/shm.
std::size_t segments_left() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) count += entry.path().filename().string().starts_with(concat("terse-test-", ::getpid())) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("ranks as processes: sums in a tree, slices, broadcasts, texts") {
  for (const int ranks : {1, 2, 3, 4})
    for (const std::size_t count : {std::size_t{1}, std::size_t{10007}, std::size_t{400'001}}) {
      CAPTURE(ranks, count);
      check_all_end_well(in_processes(ranks, [&](dist::Shared& rank) { check_communicator(rank, count); }));
    }
  CHECK(segments_left() == 0);
}

TEST_CASE("a rank that is killed is named by the lowest survivor, with its step; the others are silent, and all end with 5") {
  const int victim = GENERATE(0, 1, 2);
  const auto ended = in_processes(3, [&](dist::Shared& rank) {
    for (long step = 1; step < 1'000'000; ++step) {
      rank.note_step(step);
      if (rank.rank() == victim && step == 37) ::raise(SIGKILL);
      rank.barrier();
    }
  });
  const int speaker = victim == 0 ? 1 : 0;
  for (int r = 0; r < 3; ++r) {
    CAPTURE(victim, r);
    const auto& process = ended[static_cast<std::size_t>(r)];
    if (r == victim) CHECK(WIFSIGNALED(process.status));
    else CHECK(process.exited(5));
    CHECK(contains(process.words, "was ended in step 37") == (r == speaker));
    if (r == speaker) CHECK(contains(process.words, concat("rank ", victim, " (process ")));
  }
}

TEST_CASE("a rank that fails says why itself, and the others name it") {
  const auto ended = in_processes(2, [&](dist::Shared& rank) {
    rank.note_step(3);
    rank.barrier();
    if (rank.rank() == 1) fail(Failure::bad_input, "something odd");
    rank.barrier();
  });
  CHECK((ended[1].exited(3) && ended[1].words == "something odd"));
  CHECK(ended[0].exited(5));
  CHECK(contains(ended[0].words, "failed in step 3"));
}

TEST_CASE("a rank that is stopped is given up after the patience for a call") {
  const int victim = GENERATE(0, 1);
  pid_t stopped = 0;
  const auto ended = in_processes(
      2,
      [&](dist::Shared& rank) {
        auto process = static_cast<double>(rank.rank() == victim ? ::getpid() : 0);
        rank.all_reduce(std::span(&process, 1));
        stopped = static_cast<pid_t>(process);
        if (rank.rank() == victim) ::raise(SIGSTOP);
        try {
          rank.barrier();
        } catch (...) {
          ::kill(stopped, SIGKILL);
          throw;
        }
      },
      {.call = 300ms});
  const auto& survivor = ended[static_cast<std::size_t>(1 - victim)];
  CHECK(survivor.exited(5));
  CHECK(contains(survivor.words, "hasn't answered for 0 s before the first step; it hangs, or is stopped"));
}

TEST_CASE("ranks that can't meet say why") {
  const std::string run = new_run();
  CHECK(contains(message_of([&] { dist::Shared(run, 0, 2, {.meeting = 100ms}); }), "rank 1 of 2 isn't there"));
  CHECK(contains(message_of([&] { dist::Shared(run, 1, 2, {.meeting = 100ms}); }), "rank 0 of 2 isn't there"));
  const auto different = in_processes(
      2, [&](int rank) { return std::make_unique<dist::Shared>(run, rank, rank == 0 ? 2 : 3, dist::Patience{.meeting = 2000ms}); }, [](dist::Shared&) {});
  CHECK(different[1].exited(2));
  CHECK(contains(different[1].words, "rank 0 counts 2 ranks, rank 1 counts 3"));
}

TEST_CASE("a rank that was away too long is told that it was given up") {
  const auto ended = in_processes(
      2,
      [&](dist::Shared& rank) {
        rank.barrier();
        if (rank.rank() == 1) ::usleep(900'000);
        rank.barrier();
        rank.barrier();
      },
      {.call = 300ms});
  CHECK((ended[0].exited(5) && ended[1].exited(5)));
  CHECK(contains(ended[0].words, "rank 1 (process "));
  CHECK(ended[1].words.empty());  // rank 0 has said it
}

TEST_CASE("what a killed rank 0 left behind is neither taken for a run nor in the way of one") {
  const std::string run = new_run();
  const pid_t first = ::fork();
  if (first == 0) {
    dist::Shared(run, 0, 3, {});  // waits for the others
    ::_exit(1);
  }
  while (!dist::Segment::open("/terse-" + run, 1)) ::usleep(1000);
  ::usleep(20'000);  // until it sits
  ::kill(first, SIGKILL);
  ::waitpid(first, nullptr, 0);
  CHECK(contains(message_of([&] { dist::Shared(run, 1, 2, {.meeting = 100ms}); }), "rank 0 of 2 isn't there"));
  check_all_end_well(in_processes(2, [&](int rank) { return std::make_unique<dist::Shared>(run, rank, 2, dist::Patience{.meeting = 5000ms}); },
                                  [](dist::Shared& rank) { check_communicator(rank, 100); }));
  CHECK(segments_left() == 0);
}
