#pragma once
#include <cmath>

#include <terse/device/blas.hpp>
#include <terse/device/cpu.hpp>
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
    S sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (Index c = 0; c < C; ++c) sum += static_cast<S>(row[c]);
    const S mean = sum / C;
#pragma omp simd reduction(+ : squares)
    for (Index c = 0; c < C; ++c) squares += (static_cast<S>(row[c]) - mean) * (static_cast<S>(row[c]) - mean);
    const S rstd = 1 / std::sqrt(squares / C + static_cast<S>(op.epsilon));
    const auto out = y[t];
#pragma omp simd
    for (Index c = 0; c < C; ++c)
      out[c] = static_cast<Y>((static_cast<S>(row[c]) - mean) * rstd * static_cast<S>(gain[c]) + static_cast<S>(bias[c]));
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
      out[c] = static_cast<Y>((static_cast<S>(row[c]) - mean) * rstd * static_cast<S>(gain[c]) + static_cast<S>(bias[c]));
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
    S sum = 0, product = 0;
#pragma omp simd reduction(+ : sum, product)
    for (Index c = 0; c < C; ++c) {
      const S g = static_cast<S>(slope[c]) * static_cast<S>(gain[c]);
      sum += g, product += g * (static_cast<S>(row[c]) - mean);
    }
    const S mean_g = sum / C, mean_product = product * rstd / C;
#pragma omp simd
    for (Index c = 0; c < C; ++c) {
      const S n = (static_cast<S>(row[c]) - mean) * rstd, g = static_cast<S>(slope[c]) * static_cast<S>(gain[c]);
      const S value = rstd * (g - mean_g - n * mean_product);
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
