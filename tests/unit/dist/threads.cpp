#include <atomic>
#include <bit>
#include <numeric>
#include <string>
#include <vector>

#include <terse/dist/threads.hpp>

#include "support/catch.hpp"

using namespace terse;

namespace {

/// The order that all_reduce promises: neighbours first, the left branch the largest that is full.
float tree_sum(std::vector<float> values) {
  if (values.size() == 1) return values[0];
  const auto half = static_cast<std::ptrdiff_t>(std::bit_ceil(values.size()) / 2);
  return tree_sum({values.begin(), values.begin() + half}) + tree_sum({values.begin() + half, values.end()});
}

}  // namespace

TEST_CASE("ranks as threads: sums in a tree, broadcasts, texts") {
  const int ranks = GENERATE(1, 2, 3, 4, 5, 7);
  std::vector<std::vector<float>> sums(static_cast<std::size_t>(ranks));
  dist::launch(ranks, [&](dist::Communicator& communicator) {
    const int rank = communicator.rank();
    std::vector<float> values(10007);  // several blocks a rank, and sizes that don't divide
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1.0f / static_cast<float>(i + 1 + static_cast<std::size_t>(rank));
    communicator.all_reduce(std::span<float>(values));
    sums[static_cast<std::size_t>(rank)] = values;

    double tiny[] = {1.0 + rank};
    communicator.all_reduce(std::span<double>(tiny));
    const double expected = ranks * (ranks + 1) / 2.0;
    if (tiny[0] != expected) fail(Failure::internal, "sum ", tiny[0]);

    int number = rank;
    communicator.broadcast(std::as_writable_bytes(std::span(&number, 1)), ranks - 1);
    if (number != ranks - 1) fail(Failure::internal, "broadcast ", number);

    const auto texts = communicator.all_gather(std::string(static_cast<std::size_t>(rank), 'x'));
    for (int r = 0; r < ranks; ++r)
      if (texts[static_cast<std::size_t>(r)].size() != static_cast<std::size_t>(r)) fail(Failure::internal, "text ", r);
  });
  for (std::size_t i = 0; i < sums[0].size(); ++i) {
    std::vector<float> terms;
    for (int r = 0; r < ranks; ++r) terms.push_back(1.0f / static_cast<float>(i + 1 + static_cast<std::size_t>(r)));
    REQUIRE(sums[0][i] == tree_sum(terms));
  }
  for (const auto& other : sums) CHECK(other == sums[0]);
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
