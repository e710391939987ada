#include <terse/ops/degeneration/cpu.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/op_case.hpp"

using namespace terse;

namespace {

constexpr Index context = 12;

/// Two texts in slots 0 and 1, of which the second stands in both; its last row, and the first text's last and first, are asked.
template <Index C>
struct DegenerationCase {
  static constexpr bool any_threads = true;
  static inline const std::vector<std::int32_t> slots{0, 0, 0, 0, 0, 1, 1, 1}, positions{0, 1, 2, 3, 4, 3, 4, 5}, ask{7, 4, 0};

  static std::vector<std::int32_t> sources() {
    std::vector<std::int32_t> result(2 * context, 0);
    std::fill_n(result.begin() + context + 3, context - 3, 1);
    return result;
  }

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    const auto of = sources();
    std::vector<S> directions(2 * context * C, S(std::nanf("")));
    ops::degeneration<context>(cpu, ops::CacheRows{slots, slots, positions, of.data()}, ask, Rows<const T, C>{t.input<T>("hidden", 8 * C), 8}, Rows<S, C>{directions.data(), 2 * context},
                               Column<S>{t.output<S>("penalties", 3), 3});
  }
  Values reference(const Tensors& t) const {
    const auto hidden = t.values("hidden");
    const auto cosine = [&](Index a, Index b) {
      double product = 0, first = 0, second = 0;
      for (Index c = 0; c < C; ++c) {
        const double x = hidden[static_cast<std::size_t>(a * C + c)], y = hidden[static_cast<std::size_t>(b * C + c)];
        product += x * y, first += x * x, second += y * y;
      }
      return product / std::sqrt(first * second);
    };
    const auto largest = [&](Index row, std::vector<Index> before) {
      double result = -1;
      for (const Index b : before) result = std::max(result, cosine(row, b));
      return result;
    };
    return {{"penalties", {largest(7, {0, 1, 2, 5, 6}), largest(4, {0, 1, 2, 3}), -1}}};
  }
};

}  // namespace

TEST_CASE("degeneration penalty") {
  check_op(DegenerationCase<1>{}), check_op(DegenerationCase<7>{}), check_op(DegenerationCase<48>{});
}

TEST_CASE("degeneration penalty: hidden states of zero are like nothing") {
  Cpu cpu(1);
  const std::vector<float> hidden(8, 0);
  std::vector<float> directions(8 * context, 9), penalties(1);
  const std::vector<std::int32_t> slots{0, 0}, positions{0, 1}, ask{1};
  ops::degeneration<context>(cpu, ops::CacheRows{slots, slots, positions, nullptr}, ask, Rows<const float, 4>{hidden.data(), 2}, Rows<float, 4>{directions.data(), 2 * context},
                             Column<float>{penalties.data(), 1});
  CHECK(penalties[0] == 0);
}
