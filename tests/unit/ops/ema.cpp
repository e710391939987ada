#include <terse/ops/ema/cpu.hpp>

#include "support/op_case.hpp"

using namespace terse;

namespace {

/// Three steps of AdamW, the second of them skipped.
struct EmaCase {
  static constexpr bool any_threads = true;
  static constexpr ops::Ema op{.decay = 0.75};

  Index n;

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    S* const average = t.output<S>("average", n);  // NaN, which the first step doesn't read
    long taken = 0;
    for (const char* weights : {"first", "second", "third"}) {
      ops::AdamWFactors<S> factors{.is_first = taken == 0};
      factors.skipped = std::string_view(weights) == "second";
      if (!factors.skipped) ++taken;
      ops::ema(cpu, op, &factors, n, t.input<S>(weights, n), average);
    }
  }
  Values reference(const Tensors& t) const {
    const auto first = t.values("first"), third = t.values("third");
    std::vector<double> average;
    for (std::size_t i = 0; i < first.size(); ++i) average.push_back(0.75 * first[i] + 0.25 * third[i]);
    return {{"average", average}};
  }
};

}  // namespace

TEST_CASE("ema: copies at the first step, averages at the next, and nothing where a step is skipped") {
  check_op(EmaCase{1});
  check_op(EmaCase{35});
  check_op(EmaCase{40000});
}

TEST_CASE("ema: weights and average change places") {
  for (const int threads : {1, 3}) {
    Cpu cpu(threads);
    std::vector<float> a(40001), b(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i), b[i] = -static_cast<float>(i);
    const auto a_was = a, b_was = b;
    ops::exchange(cpu, a.data(), b.data(), 40000);
    CHECK((a.back() == 40000 && b.back() == -40000));
    ops::exchange(cpu, a.data() + 40000, b.data() + 40000, 1);
    CHECK((a == b_was && b == a_was));
  }
}
