#include <terse/ops/matmul/cpu.hpp>
#include <terse/ops/matmul/invariant.hpp>

#include "support/messages.hpp"
#include "support/op_case.hpp"

using namespace terse;

namespace {

std::vector<double> product(Index m, Index n, Index k, const auto& a, const auto& b) {
  std::vector<double> result;
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      double sum = 0;
      for (Index p = 0; p < k; ++p) sum += a(i, p) * b(p, j);
      result.push_back(sum);
    }
  return result;
}

auto matrix(const std::vector<double>& values, Index columns) {
  return [&values, columns](Index i, Index j) { return values[static_cast<std::size_t>(i * columns + j)]; };
}
auto transposed(const std::vector<double>& values, Index columns) {
  return [&values, columns](Index i, Index j) { return values[static_cast<std::size_t>(j * columns + i)]; };
}

/// y = x w, and the gradients of both, by the library. `wide`: outputs in the wide type, else in the inputs'.
template <Index In, Index Out, bool wide>
struct MatmulCase {
  static constexpr bool any_threads = false;
  static constexpr Pairs<1> outputs{{{"y", "dy"}}};
  static constexpr Pairs<2> gradients{{{"x", "dx"}, {"w", "dw"}}};

  Index rows;
  Write write = Write::accumulate;

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using Y = std::conditional_t<wide, Wide<T>, T>;
    ops::matmul(cpu, Rows<T, In>{t.input<T>("x", rows * In), rows}, Matrix<T, In, Out>{t.input<T>("w", In * Out)}, Rows<Y, Out>{t.output<Y>("y", rows * Out), rows});
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    using Y = std::conditional_t<wide, Wide<T>, T>;
    const Rows<T, Out> dy{t.input<T>("dy", rows * Out), rows};
    ops::matmul_transposed(cpu, dy, Matrix<T, In, Out>{t.get<T>("w")}, Rows<Y, In>{t.output<Y>("dx", rows * In), rows});
    Y* const dw = write == Write::accumulate ? t.accumulated<Y>("dw", In * Out) : t.output<Y>("dw", In * Out);
    ops::matmul_gradient(cpu, Rows<T, In>{t.get<T>("x"), rows}, dy, Matrix<Y, In, Out>{dw}, write);
  }
  Values reference(const Tensors& t) const {
    const auto x = t.values("x"), w = t.values("w"), dy = t.values("dy");
    return {{"y", product(rows, Out, In, matrix(x, In), matrix(w, Out))}, {"dx", product(rows, In, Out, matrix(dy, Out), transposed(w, Out))}};
  }
};

/// The batch-invariant products. Weights in T, rows in the wide type as in decoding, or in T.
template <Index In, Index Out, bool wide_rows>
struct InvariantCase {
  static constexpr bool any_threads = true;

  Index rows;

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    using X = std::conditional_t<wide_rows, S, T>;
    const Rows<X, In> x{t.input<X>("x", rows * In), rows};
    ops::invariant_matmul(cpu, x, Matrix<T, In, Out>{t.input<T>("w", In * Out)}, Rows<S, Out>{t.output<S>("y", rows * Out), rows});
    ops::invariant_matmul_transposed(cpu, x, Matrix<T, Out, In>{t.input<T>("v", In * Out)}, Rows<S, Out>{t.output<S>("z", rows * Out), rows});
  }
  Values reference(const Tensors& t) const {
    const auto x = t.values("x"), w = t.values("w"), v = t.values("v");
    return {{"y", product(rows, Out, In, matrix(x, In), matrix(w, Out))}, {"z", product(rows, Out, In, matrix(x, In), transposed(v, In))}};
  }
};

/// Every row of a batch of 1 to 70 rows must equal the same row multiplied alone, whatever the threads: rows cycle through 5 different ones.
template <Real X, Real W, Index In, Index Out>
void check_rows_are_independent() {
  using S = Wide<W>;
  Tensors t;
  const X* const distinct = t.input<X>("x", 5 * In);
  const Matrix<W, In, Out> w{t.input<W>("w", In * Out)};
  const Matrix<W, Out, In> v{t.input<W>("v", In * Out)};
  S* const alone = t.output<S>("alone", 5 * Out);
  S* const alone_transposed = t.output<S>("alone, transposed", 5 * Out);
  const Cpu one(1);
  for (Index r = 0; r < 5; ++r) {
    ops::invariant_matmul(one, Rows<const X, In>{distinct + r * In, 1}, w, Rows<S, Out>{alone + r * Out, 1});
    ops::invariant_matmul_transposed(one, Rows<const X, In>{distinct + r * In, 1}, v, Rows<S, Out>{alone_transposed + r * Out, 1});
  }
  for (Index rows = 1; rows <= 70; ++rows) {
    const Cpu cpu(static_cast<int>(1 + rows % 3));
    std::vector<X> x;
    for (Index r = 0; r < rows; ++r) x.insert(x.end(), distinct + r % 5 * In, distinct + (r % 5 + 1) * In);
    std::vector<S> y(static_cast<std::size_t>(rows * Out)), z = y;
    ops::invariant_matmul(cpu, Rows<const X, In>{x.data(), rows}, w, Rows<S, Out>{y.data(), rows});
    ops::invariant_matmul_transposed(cpu, Rows<const X, In>{x.data(), rows}, v, Rows<S, Out>{z.data(), rows});
    for (Index r = 0; r < rows; ++r) {
      INFO("row " << r << " of " << rows << ", (" << In << ", " << Out << "), " << cpu.threads() << " threads");
      CHECK(std::equal(y.begin() + r * Out, y.begin() + (r + 1) * Out, alone + r % 5 * Out));
      CHECK(std::equal(z.begin() + r * Out, z.begin() + (r + 1) * Out, alone_transposed + r % 5 * Out));
    }
  }
}

}  // namespace

TEST_CASE("matmul: all dtypes, output wide") {
  check_op(MatmulCase<7, 35, true>{3});
  check_op(MatmulCase<48, 1, true>{33});
  check_op(MatmulCase<1, 7, true>{1});
  check_op(MatmulCase<192, 128, true>{70, Write::overwrite});
}

TEST_CASE("matmul: all dtypes, output in the inputs' type") {
  check_op(MatmulCase<35, 48, false>{7});
  check_op(MatmulCase<16, 7, false>{2, Write::overwrite});
}

TEST_CASE("matmul says when 16-bit inputs find no workspace") {
  Cpu cpu(1);
  half x[6], w[12];
  float y[8];
  const auto multiply = [&] { ops::matmul(cpu, Rows<half, 3>{x, 2}, Matrix<half, 3, 4>{w}, Rows<float, 4>{y, 2}); };
  CHECK(contains(message_of(multiply), "workspace of 0 bytes is too small for (2, 3) x (3, 4)"));
  cpu.reserve_workspace(ops::matmul_workspace<half>(2, 4, 3));
  multiply();
  CHECK(y[7] == 0);
}

TEST_CASE("invariant matmul") {
  check_op(InvariantCase<7, 35, true>{3});
  check_op(InvariantCase<1, 7, true>{1});
  check_op(InvariantCase<192, 300, true>{10});
  check_op(InvariantCase<35, 128, false>{1});
  check_op(InvariantCase<133, 230, true>{6});
  check_op(InvariantCase<261, 96, true>{37});
}

TEST_CASE("invariant matmul: a row doesn't depend on its neighbours") {
  check_rows_are_independent<float, float, 48, 48>();
  check_rows_are_independent<float, float, 77, 403>();
  check_rows_are_independent<float, float, 21, 63>();
  check_rows_are_independent<float, float, 200, 192>();
  check_rows_are_independent<float, bfloat16, 77, 403>();
  check_rows_are_independent<float, bfloat16, 261, 192>();
  check_rows_are_independent<float, half, 35, 77>();
  check_rows_are_independent<bfloat16, bfloat16, 77, 35>();
  check_rows_are_independent<double, double, 13, 35>();
}
