#include <terse/ops/reduce/cpu.hpp>

#include "support/op_case.hpp"

using namespace terse;

namespace {

template <Index C>
struct BiasCase {
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"y", "dy"}}}, gradients{{{"bias", "dbias"}}};

  Index rows;

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    ops::add_bias(cpu, Vector<T, C>{t.input<T>("bias", C)}, Rows<T, C>{t.accumulated<T>("y", rows * C), rows});
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    ops::bias_gradient(cpu, Rows<T, C>{t.input<T>("dy", rows * C), rows}, Vector<S, C>{t.accumulated<S>("dbias", C)});
  }
  Values reference(const Tensors& t) const {
    std::vector<double> dbias(static_cast<std::size_t>(C));
    Tensors fresh;
    const double* const begin = fresh.accumulated<double>("dbias", C);
    std::copy_n(begin, C, dbias.begin());
    const auto dy = t.values("dy");
    for (std::size_t i = 0; i < dy.size(); ++i) dbias[i % static_cast<std::size_t>(C)] += dy[i];
    return {{"dbias", dbias}};
  }
};

}  // namespace

TEST_CASE("bias and its gradient") {
  check_op(BiasCase<1>{1});
  check_op(BiasCase<7>{3});
  check_op(BiasCase<200>{70});
}

TEST_CASE("sum of squares and all_finite: any size, any threads, any dtype") {
  for (const Index n : {0, 1, 63, 1025, 70000}) {
    INFO(n << " values");
    Tensors t;
    const float* const x = t.input<float>("x", n);
    double want = 0;
    for (Index i = 0; i < n; ++i) want += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    Cpu one(1), two(2), three(3);
    const double got = ops::sum_of_squares(two, x, n);
    CHECK(std::abs(got - want) <= 1e-6 * want);
    CHECK(got == ops::sum_of_squares(one, x, n));
    CHECK(got == ops::sum_of_squares(three, x, n));
    CHECK(ops::all_finite(two, x, n));
  }
  Cpu cpu(2);
  std::vector<half> values(5000, half(1.5f));
  CHECK(ops::sum_of_squares(cpu, values.data(), 5000) == 5000 * 2.25);
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    for (const std::size_t place : {std::size_t{0}, std::size_t{2345}, std::size_t{4999}}) {
      auto spoilt = values;
      spoilt[place] = half(bad);
      CHECK_FALSE(ops::all_finite(cpu, spoilt.data(), 5000));
      CHECK_FALSE(std::isfinite(ops::sum_of_squares(cpu, spoilt.data(), 5000)));
    }
  }
  values[17] = half(65504.0f);
  CHECK(ops::all_finite(cpu, values.data(), 5000));
}
