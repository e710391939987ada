#include <terse/ops/adamw/cpu.hpp>

#include "support/op_case.hpp"

using namespace terse;

namespace {

/// Three steps from zero moments.
struct AdamWCase {
  static constexpr bool any_threads = true;
  static constexpr ops::AdamW op{.lr = 0.05, .weight_decay = 0.2};

  Index n;
  double rate = 1;  // of the group

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    S* const master = t.accumulated<S>("master", n);
    S* const m = t.output<S>("m", n);
    S* const v = t.output<S>("v", n);
    T* const parameter = t.output<T>("parameter", n);
    std::fill_n(m, n, S{0}), std::fill_n(v, n, S{0});
    for (long step = 1; step <= 3; ++step) {
      const auto factors = ops::adamw_factors<S>(op, step, 0.5);
      ops::adamw(cpu, &factors, ops::adamw_group<S>(op, true, rate), n, master, gradient<S>(t, step), m, v, parameter);
    }
  }
  template <class S>
  const S* gradient(Tensors& t, long step) const {
    return t.input<S>("gradient " + std::to_string(step), n);
  }
  Values reference(const Tensors& t) const {
    Tensors fresh;
    const double* const begin = fresh.accumulated<double>("master", n);
    Values result;
    for (Index i = 0; i < n; ++i) {
      double w = begin[i], m = 0, v = 0;
      for (int step = 1; step <= 3; ++step) {
        const double g = 0.5 * t.values("gradient " + std::to_string(step))[static_cast<std::size_t>(i)];
        w *= 1 - op.lr * rate * op.weight_decay;
        m = op.beta1 * m + (1 - op.beta1) * g, v = op.beta2 * v + (1 - op.beta2) * g * g;
        w -= op.lr * rate * (m / (1 - std::pow(op.beta1, step))) / (std::sqrt(v / (1 - std::pow(op.beta2, step))) + op.epsilon);
      }
      result["master"].push_back(w), result["m"].push_back(m), result["v"].push_back(v), result["parameter"].push_back(w);
    }
    return result;
  }
};

}  // namespace

TEST_CASE("AdamW, three steps") {
  check_op(AdamWCase{1});
  check_op(AdamWCase{35});
  check_op(AdamWCase{1000});
  check_op(AdamWCase{100, 0.25});
}

TEST_CASE("AdamW may write the parameter into the master itself") {
  Cpu cpu(2);
  std::vector<float> gradient(100, 0.5f), m(100), v(100), m2(100), v2(100), master(100, 1.0f), both(100, 1.0f), parameter(100);
  const auto factors = ops::adamw_factors<float>(ops::AdamW{}, 1, 1);
  const auto group = ops::adamw_group<float>(ops::AdamW{}, true);
  ops::adamw(cpu, &factors, group, 100, master.data(), gradient.data(), m.data(), v.data(), parameter.data());
  ops::adamw(cpu, &factors, group, 100, both.data(), gradient.data(), m2.data(), v2.data(), both.data());
  CHECK(both == master);
  CHECK(both == parameter);
}

TEST_CASE("AdamW: a skipped step changes nothing, and decay acts where it is asked") {
  Cpu cpu(1);
  std::vector<float> gradient(10, 0.5f), m(10, 1.0f), v(10, 1.0f), decaying(10, 1.0f), other(10, 1.0f);
  const ops::AdamW op{.lr = 0.1, .weight_decay = 0.5};
  auto factors = ops::adamw_factors<float>(op, 1, std::nan(""));
  factors.skipped = true;
  ops::adamw(cpu, &factors, ops::adamw_group<float>(op, true), 10, decaying.data(), gradient.data(), m.data(), v.data(), decaying.data());
  CHECK(decaying == std::vector<float>(10, 1.0f));
  CHECK(m == decaying);
  CHECK(v == decaying);
  std::vector<float> none(10);
  factors = ops::adamw_factors<float>(op, 1, 1);
  for (auto* master : {&decaying, &other}) {
    std::fill(m.begin(), m.end(), 0.0f), std::fill(v.begin(), v.end(), 0.0f);
    ops::adamw(cpu, &factors, ops::adamw_group<float>(op, master == &decaying), 10, master->data(), none.data(), m.data(), v.data(), master->data());
  }
  CHECK(decaying == std::vector<float>(10, 0.95f));
  CHECK(other == std::vector<float>(10, 1.0f));
}
