#include <terse/ops/rotary/cpu.hpp>

#include <cmath>
#include <complex>

#include "support/op_case.hpp"
#include "support/owned_batch.hpp"

using namespace terse;

namespace {

/// Each pair of columns is a complex number, turned by its angle.
template <Index heads, Index D, Index rotated, Index more>
struct RotaryCase {
  static constexpr Index columns = heads * D + more;
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"y", "dy"}}}, gradients{{{"x", "dx"}}};

  OwnedBatch batch;
  double theta = 10000;

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    turn<T>(cpu, t, t.input<T>("x", batch.tokens() * columns), t.output<T>("y", batch.tokens() * columns), ops::Rotation::forth);
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    turn<T>(cpu, t, t.input<T>("dy", batch.tokens() * columns), t.output<T>("dx", batch.tokens() * columns), ops::Rotation::back);
  }
  template <Real T>
  void turn(Cpu& cpu, Tensors& t, const T* from, T* to, ops::Rotation way) const {
    using S = Wide<T>;
    const Index rows = batch.tokens();
    const Rows<S, rotated> angles{t.output<S>(way == ops::Rotation::forth ? "angles" : "angles again", rows * rotated), rows};
    ops::rotary_angles(cpu, ops::Rotary{theta}, batch.positions(), angles);
    std::copy_n(from, rows * columns, to);
    ops::rotate<heads, D>(cpu, angles, Rows<T, columns>{to, rows}, way);
  }
  Values reference(const Tensors& t) const {
    Values result;
    const auto x = t.values("x");
    result["y"] = x;
    for (Index row = 0; row < batch.tokens(); ++row) {
      std::vector<double> sines;
      for (Index i = 0; i < rotated / 2; ++i) {
        const double angle = batch.positions()[static_cast<std::size_t>(row)] * std::pow(theta, -2.0 * static_cast<double>(i) / rotated);
        result["angles"].push_back(std::cos(angle)), sines.push_back(std::sin(angle));
        for (Index head = 0; head < heads; ++head) {
          const auto first = static_cast<std::size_t>(row * columns + head * D + i), second = first + rotated / 2;
          const auto turned = std::complex(x[first], x[second]) * std::polar(1.0, angle);
          result["y"][first] = turned.real(), result["y"][second] = turned.imag();
        }
      }
      result["angles"].insert(result["angles"].end(), sines.begin(), sines.end());
    }
    return result;
  }
};

}  // namespace

TEST_CASE("rotary positions: all of a head's columns, or the first of them; what stands behind the heads is left alone") {
  check_op(RotaryCase<3, 8, 8, 5>{OwnedBatch::of_lengths({5, 1, 33}, 5)});
  check_op(RotaryCase<2, 12, 6, 0>{OwnedBatch::of_lengths({9}, 5), 100});
  check_op(RotaryCase<1, 2, 2, 0>{OwnedBatch::of_lengths({1}, 5)});
}
