#pragma once
/// Dropout (Srivastava et al. 2014): y = x * m / (1 - p), m Bernoulli(1 - p). Backward multiplies by the same numbers.
///
/// The numbers are Philox(seed) at (draw of the sample, site, layer, head, row, column), so they depend on nothing else: not on
/// packing, micro-batch, rank, threads or device, and nothing is stored between forward and backward.

#include <cstdint>

#include <terse/core/philox.hpp>
#include <terse/core/shape.hpp>

namespace terse::ops {

/// Where in the model a dropout stands: GPT-2's four.
enum class DropoutSite : std::uint32_t { embedding, attention_probabilities, attention_projection, mlp_projection };

/// Dropout at one site of one layer. Default: none.
struct Dropout {
  Philox philox{};
  std::uint32_t drop_below = 0;  ///< a value is dropped if its random word is below: probability * 2^32
  float scale = 1;               ///< 1 / (1 - probability)
  std::uint32_t place = 0;       ///< use, site and layer, as the counter's last word

  /// False where it changes nothing.
  constexpr bool active() const { return drop_below != 0; }

  /// Random words of columns [4 * block, 4 * block + 4).
  constexpr Philox::Words words(std::uint32_t draw, Index head, Index row, Index block) const {
    return philox({static_cast<std::uint32_t>(row), draw, static_cast<std::uint32_t>(head) << 16 | static_cast<std::uint32_t>(block), place});
  }
};

/// The dropouts of a whole model: one probability, in [0, 1), at all four sites. The default is none.
struct DropoutPlan {
  float probability = 0;
  std::uint64_t seed = 0;

  /// The dropout at one site of one layer.
  constexpr Dropout at(DropoutSite site, int layer = 0) const {
    if (probability <= 0) return {};
    return {Philox{seed}, static_cast<std::uint32_t>(static_cast<double>(probability) * 4294967296.0), 1 / (1 - probability),
            static_cast<std::uint32_t>(RandomUse::dropout) << 28 | static_cast<std::uint32_t>(site) << 24 | static_cast<std::uint32_t>(layer)};
  }
};

}  // namespace terse::ops
