#include <terse/ops/gelu/cpu.hpp>

#include <limits>
#include <numbers>

#include "support/op_case.hpp"

using namespace terse;

namespace {

template <ops::Gelu gelu, Index C>
struct GeluCase {
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"y", "dy"}}}, gradients{{{"x", "dx"}}};

  Index rows;

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    ops::gelu_forward<gelu>(cpu, Rows<T, C>{t.input<T>("x", rows * C, 4), rows}, Rows<T, C>{t.output<T>("y", rows * C), rows});
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    T* const dx = t.output<T>("dx", rows * C);
    std::copy_n(t.input<T>("dy", rows * C), rows * C, dx);
    ops::gelu_backward<gelu>(cpu, Rows<T, C>{t.get<T>("x"), rows}, Rows<T, C>{t.output<T>("y again", rows * C), rows}, Rows<T, C>{dx, rows});
  }
  Values reference(const Tensors& t) const {
    Values result;
    for (const double x : t.values("x")) {
      const double gate = gelu == ops::Gelu::tanh ? 1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)) : 1 + std::erf(x / std::numbers::sqrt2);
      result["y"].push_back(x / 2 * gate);
    }
    result["y again"] = result["y"];
    return result;
  }
};

}  // namespace

TEST_CASE("GELU") {
  check_op(GeluCase<ops::Gelu::tanh, 7>{3});
  check_op(GeluCase<ops::Gelu::tanh, 140>{5});
  check_op(GeluCase<ops::Gelu::tanh, 1>{1});
  check_op(GeluCase<ops::Gelu::exact, 35>{4});
}

TEST_CASE("GELU far from zero: x to the right, 0 to the left, NaN for NaN") {
  Cpu cpu(1);
  float x[] = {40, 1e4f, -40, -1e4f, std::numeric_limits<float>::quiet_NaN()}, y[5], slope[] = {1, 1, 1, 1, 1};
  ops::gelu_forward<ops::Gelu::tanh>(cpu, Rows<float, 5>{x, 1}, Rows<float, 5>{y, 1});
  CHECK(y[0] == 40);
  CHECK(y[1] == 1e4f);
  CHECK(std::abs(y[2]) < 1e-30f);
  CHECK(std::abs(y[3]) < 1e-30f);
  CHECK(std::isnan(y[4]));
  ops::gelu_backward<ops::Gelu::tanh>(cpu, Rows<float, 5>{x, 1}, Rows<float, 5>{y, 1}, Rows<float, 5>{slope, 1});
  CHECK(slope[0] == 1);
  CHECK(slope[1] == 1);
  CHECK(std::abs(slope[2]) < 1e-30f);
  CHECK(std::abs(slope[3]) < 1e-20f);
  CHECK(std::isnan(slope[4]));
}
