#include <terse/core/philox.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/catch.hpp"

using namespace terse;

// Random123 1.14, tests/kat_vectors, philox 4x32, 10 rounds.
TEST_CASE("Philox4x32-10: known answers") {
  CHECK(Philox{0}({0, 0, 0, 0}) == Philox::Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(Philox{0xffffffffffffffff}({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}) == Philox::Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(Philox{0x299f31d0a4093822}({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}) == Philox::Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  static_assert(Philox{0}({0, 0, 0, 0})[0] == 0x6627e8d5);
}

TEST_CASE("random stream: Philox's words in order; uses, indices and seeds apart") {
  RandomStream stream(7, RandomUse::shuffle, 3);
  const auto words = Philox{7}({0, 3, 0, 3u << 28}), next = Philox{7}({1, 3, 0, 3u << 28});
  for (const std::uint32_t word : words) CHECK(stream.next() == word);
  CHECK(stream.next() == next[0]);
  std::vector<std::uint32_t> firsts{RandomStream(7, RandomUse::shuffle).next(), RandomStream(8, RandomUse::shuffle).next(), RandomStream(7, RandomUse::split).next(),
                                    RandomStream(7, RandomUse::shuffle, 1).next(), RandomStream(7, RandomUse::shuffle, 1ull << 32).next()};
  std::sort(firsts.begin(), firsts.end());
  CHECK(std::adjacent_find(firsts.begin(), firsts.end()) == firsts.end());
}

TEST_CASE("random stream: below the bound, every value about as often") {
  RandomStream stream(1, RandomUse::sample);
  for (const std::uint32_t bound : {1u, 2u, 3u, 10u, 0x80000001u, 0xffffffffu}) CHECK(stream.below(bound) < bound);
  std::vector<int> counts(6);
  for (int i = 0; i < 60000; ++i) ++counts[stream.below(6)];
  for (const int count : counts) CHECK(std::abs(count - 10000) < 4 * std::sqrt(10000.0));
}

TEST_CASE("random stream: uniform in [0, 1)") {
  RandomStream stream(1, RandomUse::sample);
  double sum = 0;
  float least = 1, most = 0;
  for (int i = 0; i < 100000; ++i) {
    const float value = stream.uniform();
    least = std::min(least, value), most = std::max(most, value), sum += static_cast<double>(value);
  }
  CHECK(least >= 0);
  CHECK(most < 1);
  CHECK(least < 1e-3f);
  CHECK(most > 0.999f);
  CHECK(std::abs(sum / 100000 - 0.5) < 4e-3);
}
