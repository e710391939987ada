#include <terse/ops/swiglu/cpu.hpp>

#include <cmath>

#include "support/op_case.hpp"

using namespace terse;

namespace {

template <Index M>
struct SwiGluCase {
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"y", "dy"}}}, gradients{{{"x", "dx"}}};

  Index rows;

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    ops::swiglu_forward(cpu, Rows<T, 2 * M>{t.input<T>("x", rows * 2 * M, 4), rows}, Rows<T, M>{t.output<T>("y", rows * M), rows});
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    ops::swiglu_backward(cpu, Rows<T, 2 * M>{t.get<T>("x"), rows}, Rows<T, M>{t.output<T>("y again", rows * M), rows}, Rows<T, M>{t.input<T>("dy", rows * M), rows},
                         Rows<T, 2 * M>{t.output<T>("dx", rows * 2 * M), rows});
  }
  Values reference(const Tensors& t) const {
    const auto x = t.values("x");
    Values result;
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < M; ++c) {
        const double gate = x[static_cast<std::size_t>(r * 2 * M + c)], up = x[static_cast<std::size_t>(r * 2 * M + M + c)];
        result["y"].push_back(gate / (1 + std::exp(-gate)) * up);
      }
    result["y again"] = result["y"];
    return result;
  }
};

}  // namespace

TEST_CASE("SwiGLU") {
  check_op(SwiGluCase<7>{3});
  check_op(SwiGluCase<140>{5});
  check_op(SwiGluCase<1>{1});
}

TEST_CASE("SwiGLU: a gate far from zero passes all or nothing") {
  Cpu cpu(1);
  float x[] = {100, -100, 3, 3}, y[2];
  ops::swiglu_forward(cpu, Rows<float, 4>{x, 1}, Rows<float, 2>{y, 1});
  CHECK(y[0] == 300);
  CHECK(std::abs(y[1]) < 1e-30f);
}
