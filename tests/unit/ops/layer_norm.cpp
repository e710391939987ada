#include <terse/ops/layer_norm/cpu.hpp>

#include "support/op_case.hpp"

using namespace terse;

namespace {

/// `stream`: x in the wide type, as the residual stream is; else in T.
template <Index C, bool stream = true>
struct LayerNormCase {
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"y", "dy"}}};
  static constexpr Pairs<3> gradients{{{"x", "dx"}, {"gain", "dgain"}, {"bias", "dbias"}}};

  Index rows;
  Write write = Write::overwrite;

  template <Real T>
  using X = std::conditional_t<stream, Wide<T>, T>;

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    ops::forward(cpu, ops::LayerNorm{}, Rows<X<T>, C>{t.input<X<T>>("x", rows * C), rows}, Vector<T, C>{t.input<T>("gain", C)},
                 Vector<T, C>{t.input<T>("bias", C)}, Rows<T, C>{t.output<T>("y", rows * C), rows},
                 ops::LayerNorm::Saved<S>{{t.output<S>("mean", rows), rows}, {t.output<S>("rstd", rows), rows}});
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    const Rows<X<T>, C> x{t.get<X<T>>("x"), rows};
    const ops::LayerNorm::Saved<S> saved{{t.get<S>("mean"), rows}, {t.get<S>("rstd"), rows}};
    const Rows<T, C> dy{t.input<T>("dy", rows * C), rows};
    const Rows<S, C> dx{write == Write::accumulate ? t.accumulated<S>("dx", rows * C) : t.output<S>("dx", rows * C), rows};
    ops::recompute(cpu, ops::LayerNorm{}, x, Vector<T, C>{t.get<T>("gain")}, Vector<T, C>{t.get<T>("bias")}, saved, Rows<T, C>{t.output<T>("y again", rows * C), rows});
    ops::backward(cpu, ops::LayerNorm{}, x, Vector<T, C>{t.get<T>("gain")}, saved, dy, dx, write);
    ops::gain_and_bias_gradients(cpu, ops::LayerNorm{}, x, saved, dy, Vector<S, C>{t.accumulated<S>("dgain", C)}, Vector<S, C>{t.accumulated<S>("dbias", C)});
  }
  Values reference(const Tensors& t) const {
    const auto x = t.values("x"), gain = t.values("gain"), bias = t.values("bias");
    Values result;
    for (Index r = 0; r < rows; ++r) {
      double mean = 0, variance = 0;
      for (Index c = 0; c < C; ++c) mean += at(x, r, c) / C;
      for (Index c = 0; c < C; ++c) variance += (at(x, r, c) - mean) * (at(x, r, c) - mean) / C;
      const double rstd = 1 / std::sqrt(variance + static_cast<double>(1e-5f));
      result["mean"].push_back(mean), result["rstd"].push_back(rstd);
      for (Index c = 0; c < C; ++c) result["y"].push_back((at(x, r, c) - mean) * rstd * gain[static_cast<std::size_t>(c)] + bias[static_cast<std::size_t>(c)]);
    }
    result["y again"] = result["y"];
    return result;
  }
  static double at(const std::vector<double>& x, Index r, Index c) { return x[static_cast<std::size_t>(r * C + c)]; }
};

}  // namespace

TEST_CASE("layer norm") {
  check_op(LayerNormCase<7>{3});
  check_op(LayerNormCase<35, false>{1});
  check_op(LayerNormCase<768>{33, Write::accumulate});
  check_op(LayerNormCase<7>{0});
}

TEST_CASE("layer norm of width 1 gives its bias") { check_op(LayerNormCase<1>{2}); }
