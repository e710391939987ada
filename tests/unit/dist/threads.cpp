#include <atomic>
#include <string>
#include <vector>

#include <terse/dist/threads.hpp>

#include "ranks.hpp"
#include "support/catch.hpp"

using namespace terse;

TEST_CASE("ranks as threads: sums in a tree, slices, broadcasts, texts") {
  const int ranks = GENERATE(1, 2, 3, 4, 5, 7);
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{10007}})
    dist::launch(ranks, [&](dist::Communicator& communicator) { check_communicator(communicator, count); });
}

TEST_CASE("slices: in order, whole, each but the last ones as long as the first") {
  for (const int ranks : {1, 2, 3, 7})
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{65}, std::size_t{1000}, std::size_t{448}}) {
      std::size_t at = 0;
      for (int r = 0; r < ranks; ++r) {
        const auto [first, end] = slice_of(count, r, ranks);
        CHECK((first == at && end >= first && (first % slice_multiple == 0 || first == count)));
        CHECK(end - first <= slice_of(count, 0, ranks).size());
        at = end;
      }
      CHECK(at == count);
    }
}

TEST_CASE("a rank that fails ends the others, and its own failure is the one thrown") {
  const int failing = GENERATE(0, 1, 2);
  std::atomic<int> echoes = 0;
  try {
    dist::launch(3, [&](dist::Communicator& communicator) {
      try {
        communicator.barrier();
        if (communicator.rank() == failing) fail(Failure::bad_input, "rank ", failing, " read something odd");
        for (int i = 0; i < 1000; ++i) communicator.barrier();
      } catch (const Error& error) {
        if (error.failure() == Failure::rank) ++echoes;
        throw;
      }
    });
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.failure() == Failure::bad_input);
    CHECK(error.what() == concat("rank ", failing, " read something odd"));
  }
  CHECK(echoes == 2);
}

TEST_CASE("no rank is no job") {
  CHECK_THROWS_AS(dist::launch(0, [](dist::Communicator&) {}), Error);
}

TEST_CASE("a call that all ranks have come to is done, even if one fails right after it") {
  constexpr int rounds = 300;
  std::atomic<int> done = 0;
  for (int round = 0; round < rounds; ++round) {
    CHECK_THROWS_AS(dist::launch(2,
                                 [&](dist::Communicator& communicator) {
                                   communicator.all_gather("all here");
                                   if (communicator.rank() == 1) fail(Failure::bad_input, "rank 1 has had enough");
                                   ++done;
                                 }),
                    Error);
  }
  CHECK(done == rounds);
}
