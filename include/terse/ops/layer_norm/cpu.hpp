#pragma once
#include <cmath>

#include <terse/device/blas.hpp>
#include <terse/device/cpu.hpp>
#include <terse/device/math.hpp>
#include <terse/device/simd.hpp>
#include <terse/ops/layer_norm/op.hpp>
#include <terse/ops/reduce/cpu.hpp>

namespace terse::ops {

/// y and the saved statistics from x; the contract stands in ops/layer_norm/op.hpp.
template <Real X, Real P, Real Y, Index C>
void forward(const Cpu& cpu, LayerNorm op, Rows<X, C> x, Vector<P, C> gain, Vector<P, C> bias, Rows<Y, C> y,
             LayerNorm::Saved<Wide<X>> saved) {
  using S = Wide<X>;
  cpu.parallel_for(x.rows, [=](Index t) {
    const auto row = x[t];
    const S mean = sum_in_chains<S>(C, [=](Index c) { return static_cast<S>(row[c]); }) / C;
    const S variance = sum_in_chains<S>(C, [=](Index c) { return (static_cast<S>(row[c]) - mean) * (static_cast<S>(row[c]) - mean); }) / C;
    const S rstd = 1 / std::sqrt(variance + static_cast<S>(op.epsilon));
    const auto out = y[t];
#pragma omp simd
    for (Index c = 0; c < C; ++c)
      assign(out[c], multiply_add((static_cast<S>(row[c]) - mean) * rstd, static_cast<S>(gain[c]), static_cast<S>(bias[c])));
    saved.mean[t] = mean, saved.rstd[t] = rstd;
  });
}

/// y again, from x and the saved statistics: cheaper than keeping it.
template <Real X, Real P, Real Y, Index C>
void recompute(const Cpu& cpu, LayerNorm, Rows<X, C> x, Vector<P, C> gain, Vector<P, C> bias, LayerNorm::Saved<Wide<X>> saved, Rows<Y, C> y) {
  using S = Wide<X>;
  cpu.parallel_for(x.rows, [=](Index t) {
    const S mean = saved.mean[t], rstd = saved.rstd[t];
    const auto row = x[t];
    const auto out = y[t];
#pragma omp simd
    for (Index c = 0; c < C; ++c)
      assign(out[c], multiply_add((static_cast<S>(row[c]) - mean) * rstd, static_cast<S>(gain[c]), static_cast<S>(bias[c])));
  });
}

/// dx. With n = (x - mean) * rstd and g = dy * gain:  dx = rstd * (g - mean(g) - n * mean(g * n)).
template <Real X, Real P, Real DY, Index C>
void backward(const Cpu& cpu, LayerNorm, Rows<X, C> x, Vector<P, C> gain, LayerNorm::Saved<Wide<X>> saved, Rows<DY, C> dy, Rows<Wide<X>, C> dx, Write write) {
  using S = Wide<X>;
  cpu.parallel_for(x.rows, [=](Index t) {
    const S mean = saved.mean[t], rstd = saved.rstd[t];
    const auto row = x[t];
    const auto slope = dy[t];
    const auto out = dx[t];
    const auto g = [=](Index c) { return static_cast<S>(slope[c]) * static_cast<S>(gain[c]); };
    const S mean_g = sum_in_chains<S>(C, g) / C;
    const S mean_product = sum_in_chains<S>(C, [=](Index c) { return g(c) * (static_cast<S>(row[c]) - mean); }) * rstd / C;
#pragma omp simd
    for (Index c = 0; c < C; ++c) {
      const S n = (static_cast<S>(row[c]) - mean) * rstd;
      const S value = rstd * (g(c) - mean_g - n * mean_product);
      out[c] = write == Write::accumulate ? out[c] + value : value;
    }
  });
}

/// dgain += sum over rows of dy * n, dbias += sum over rows of dy: the gradients of gain and bias.
template <Real X, Real DY, Real G, Index C>
void gain_and_bias_gradients(const Cpu& cpu, LayerNorm, Rows<X, C> x, LayerNorm::Saved<Wide<X>> saved, Rows<DY, C> dy, Vector<G, C> dgain, Vector<G, C> dbias) {
  using S = Wide<X>;
  for_column_blocks(cpu, C, [=](Index first, Index end) {
    for (Index t = 0; t < x.rows; ++t) {
      const S mean = saved.mean[t], rstd = saved.rstd[t];
      const auto row = x[t];
      const auto slope = dy[t];
#pragma omp simd
      for (Index c = first; c < end; ++c) {
        dgain[c] += static_cast<G>(static_cast<S>(slope[c]) * (static_cast<S>(row[c]) - mean) * rstd);
        dbias[c] += static_cast<G>(slope[c]);
      }
    }
  });
}

}  // namespace terse::ops
