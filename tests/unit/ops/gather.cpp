#include <terse/ops/cast/cpu.hpp>
#include <terse/ops/gather/cpu.hpp>

#include "support/op_case.hpp"

using namespace terse;

namespace {

/// Three of seven rows taken out, in the wide type, and put back into a cleared matrix.
template <Index C>
struct GatherCase {
  static constexpr Index all = 7, some = 3;
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"y", "dy"}}}, gradients{{{"x", "dx"}}};
  static constexpr std::array<std::int32_t, some> chosen{6, 0, 3};

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    ops::gather(cpu, Rows<T, C>{t.input<T>("x", all * C), all}, chosen, Rows<S, C>{t.output<S>("y", some * C), some});
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    const Rows<T, C> dx{t.output<T>("dx", all * C), all};
    ops::clear(cpu, dx);
    ops::scatter(cpu, Rows<S, C>{t.input<S>("dy", some * C), some}, chosen, dx);
  }
  Values reference(const Tensors& t) const {
    const auto x = t.values("x");
    std::vector<double> y;
    for (const auto row : chosen)
      for (Index c = 0; c < C; ++c) y.push_back(x[static_cast<std::size_t>(row * C + c)]);
    return {{"y", y}};
  }
};

/// An embedding: rows of a table, some of them more than once, and the gradient of the table.
struct LookUpCase {
  static constexpr Index V = 5, C = 67, some = 6;
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"y", "dy"}}}, gradients{{{"table", "dtable"}}};
  static constexpr std::array<std::int32_t, some> chosen{3, 0, 3, 4, 0, 3};

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    ops::gather(cpu, Matrix<T, V, C>{t.input<T>("table", V * C)}, chosen, Rows<S, C>{t.output<S>("y", some * C), some});
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    S* const dtable = t.accumulated<S>("dtable", V * C);
    ops::scatter_add(cpu, Rows<T, C>{t.input<T>("dy", some * C), some}, chosen, Matrix<S, V, C>{dtable});
  }
  Values reference(const Tensors& t) const {
    const auto table = t.values("table");
    std::vector<double> y;
    for (const auto row : chosen)
      for (Index c = 0; c < C; ++c) y.push_back(table[static_cast<std::size_t>(row * C + c)]);
    return {{"y", y}};
  }
};

}  // namespace

TEST_CASE("gather from a table and its gradient, ids repeating") { check_op(LookUpCase{}); }

TEST_CASE("gather and scatter") {
  check_op(GatherCase<1>{});
  check_op(GatherCase<7>{});
  check_op(GatherCase<48>{});
}

TEST_CASE("cast rounds each value, whatever the length") {
  Cpu cpu(2);
  for (const Index n : {0, 1, 17, 40000}) {
    std::vector<float> x(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i)) * 100;
    std::vector<bfloat16> y(x.size() + 1, bfloat16(-3.0f));
    ops::cast(cpu, x.data(), y.data(), n);
    bool same = true;
    for (std::size_t i = 0; i < x.size(); ++i) same = same && y[i].bits == bfloat16(x[i]).bits;
    CHECK(same);
    CHECK(float{y.back()} == -3);
    std::vector<float> back(x.size());
    ops::cast(cpu, y.data(), back.data(), n);
    for (std::size_t i = 0; i < x.size(); ++i) same = same && back[i] == float{y[i]};
    CHECK(same);
  }
}
