#pragma once
/// Counter-based random numbers: a number is a pure function of (seed, where it is used), so results don't depend on
/// layout, device, number of threads or order of calls.

#include <array>
#include <cstdint>

namespace terse {

/// Four 32-bit random words from a 128-bit counter and a 64-bit key.
/// Source: Philox4x32-10, Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
struct Philox {
  using Words = std::array<std::uint32_t, 4>;

  std::uint64_t key = 0;

  /// The four words at `counter`; every counter has its own.
  constexpr Words operator()(Words counter) const {
    auto key0 = static_cast<std::uint32_t>(key), key1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter[0];
      const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter[2];
      counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key0, static_cast<std::uint32_t>(product1),
                 static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key1, static_cast<std::uint32_t>(product0)};
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    return counter;
  }
};

/// What a random number is for; it goes into the counter, so uses never share numbers.
enum class RandomUse : std::uint32_t { dropout = 0, initialize, split, shuffle, sample, synthesize, bootstrap };

/// A sequence of random numbers for serial code: stream `index` of one use.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, RandomUse use, std::uint64_t index = 0)
      : philox_{seed}, index_(index), use_(static_cast<std::uint32_t>(use)) {}

  /// Uniform over all 32-bit words.
  std::uint32_t next() {
    if (left_ == 0) {
      words_ = philox_({block_++, static_cast<std::uint32_t>(index_), static_cast<std::uint32_t>(index_ >> 32), use_ << 28});
      left_ = 4;
    }
    return words_[static_cast<std::size_t>(4 - left_--)];
  }

  /// Uniform in [0, bound), bound >= 1, without bias (Lemire 2019, arXiv:1805.10941).
  std::uint32_t below(std::uint32_t bound) {
    std::uint64_t product = std::uint64_t{next()} * bound;
    const std::uint32_t threshold = (0u - bound) % bound;
    while (static_cast<std::uint32_t>(product) < threshold) product = std::uint64_t{next()} * bound;
    return static_cast<std::uint32_t>(product >> 32);
  }

  /// Uniform in [0, 1), 24 bits.
  float uniform() { return static_cast<float>(next() >> 8) * 0x1p-24f; }

 private:
  Philox philox_;
  std::uint64_t index_;
  std::uint32_t use_;
  std::uint32_t block_ = 0;
  int left_ = 0;
  Philox::Words words_{};
};

}  // namespace terse
