#include <terse/ops/rms_norm/cpu.hpp>

#include <cmath>

#include "support/op_case.hpp"

using namespace terse;

namespace {

template <Index C>
struct RmsNormCase {
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"y", "dy"}}};
  static constexpr Pairs<2> gradients{{{"x", "dx"}, {"gain", "dgain"}}};

  Index rows;
  Write write = Write::overwrite;

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    ops::forward(cpu, ops::RmsNorm{}, Rows<S, C>{t.input<S>("x", rows * C), rows}, Vector<T, C>{t.input<T>("gain", C)}, Rows<T, C>{t.output<T>("y", rows * C), rows},
                 ops::RmsNorm::Saved<S>{{t.output<S>("r", rows), rows}});
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    const Rows<S, C> x{t.get<S>("x"), rows};
    const ops::RmsNorm::Saved<S> saved{{t.get<S>("r"), rows}};
    const Rows<T, C> dy{t.input<T>("dy", rows * C), rows};
    const Rows<S, C> dx{write == Write::accumulate ? t.accumulated<S>("dx", rows * C) : t.output<S>("dx", rows * C), rows};
    const Vector<T, C> gain{t.get<T>("gain")};
    ops::recompute(cpu, ops::RmsNorm{}, x, gain, saved, Rows<T, C>{t.output<T>("y again", rows * C), rows});
    ops::backward(cpu, ops::RmsNorm{}, x, gain, saved, dy, dx, write);
    ops::gain_gradient(cpu, ops::RmsNorm{}, x, saved, dy, Vector<S, C>{t.accumulated<S>("dgain", C)});
  }
  Values reference(const Tensors& t) const {
    const auto x = t.values("x"), gain = t.values("gain");
    Values result;
    for (Index r = 0; r < rows; ++r) {
      double squares = 0;
      for (Index c = 0; c < C; ++c) squares += x[static_cast<std::size_t>(r * C + c)] * x[static_cast<std::size_t>(r * C + c)] / C;
      result["r"].push_back(1 / std::sqrt(squares + static_cast<double>(1e-5f)));
      for (Index c = 0; c < C; ++c) result["y"].push_back(x[static_cast<std::size_t>(r * C + c)] * result["r"].back() * gain[static_cast<std::size_t>(c)]);
    }
    result["y again"] = result["y"];
    return result;
  }
};

}  // namespace

TEST_CASE("RMS norm") {
  check_op(RmsNormCase<7>{3});
  check_op(RmsNormCase<140>{5, Write::accumulate});
  check_op(RmsNormCase<2>{1});
}
