#pragma once
/// What a model is trained on, and in what order.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/core/philox.hpp>

namespace terse::text {

/// One training example. The model sees ids[:-1] and predicts ids[1:]; what it predicts of the first `prompt` ids carries
/// no loss.
struct Sample {
  std::int64_t row = 0;      ///< of the data set, from 0
  std::size_t prompt = 0;    ///< ids of dialogue and markers; the summary's and the end-of-text follow
  std::vector<TokenId> ids;

  std::size_t tokens() const { return ids.empty() ? 0 : ids.size() - 1; }                            ///< input rows
  std::size_t first_target() const { return prompt == 0 ? 0 : prompt - 1; }                          ///< first row with a loss
  /// Rows with a loss: ids of summary and end of text.
  std::size_t targets() const { return tokens() - std::min(tokens(), first_target()); }
};

/// The numbers 0 ... count-1 in random order (Fisher and Yates, by Durstenfeld's algorithm, CACM 1964), into `order`.
inline void permute(std::vector<std::uint32_t>& order, std::size_t count, RandomStream random) {
  order.resize(count);
  std::iota(order.begin(), order.end(), 0u);
  for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random.below(static_cast<std::uint32_t>(i))]);
}

/// Which samples are for training (in the file's order) and which for validation (in the drawn order, so that its first
/// few are a fair choice): numbers of samples.
struct Split {
  std::vector<std::uint32_t> training, validation;
};

/// Validation gets the first round(fraction * count) samples of a random order of `seed`, or of the file's order.
/// Errors     Failure::usage: the fraction isn't in [0, 1)
inline Split split(std::size_t count, double fraction, std::uint64_t seed, bool shuffle = true) {
  if (!(fraction >= 0 && fraction < 1)) fail(Failure::usage, "the validation split must be at least 0 and below 1: ", fraction, " given");
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  if (shuffle) permute(order, count, RandomStream(seed, RandomUse::split));
  const auto validation = order.begin() + static_cast<std::ptrdiff_t>(std::llround(fraction * static_cast<double>(count)));
  Split halves{{validation, order.end()}, {order.begin(), validation}};
  std::sort(halves.training.begin(), halves.training.end());  // epochs bring their own order
  return halves;
}

}  // namespace terse::text
