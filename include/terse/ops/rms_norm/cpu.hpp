#pragma once
#include <cmath>

#include <terse/device/cpu.hpp>
#include <terse/device/gemm.hpp>
#include <terse/device/simd.hpp>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/ops/rms_norm/op.hpp>

namespace terse::ops {

/// y again, from x and the saved statistic: cheaper than keeping it.
template <Real X, Real P, Real Y, Index C>
void recompute(const Cpu& cpu, RmsNorm, Rows<X, C> x, Vector<P, C> gain, RmsNorm::Saved<Wide<X>> saved, Rows<Y, C> y) {
  using S = Wide<X>;
  cpu.parallel_for(x.rows, [=](Index t) {
    const S r = saved.r[t];
    const auto row = x[t];
    const auto out = y[t];
#pragma omp simd
    for (Index c = 0; c < C; ++c) assign(out[c], static_cast<S>(row[c]) * r * static_cast<S>(gain[c]));
  });
}

/// y and the saved statistic from x; the contract stands in ops/rms_norm/op.hpp.
template <Real X, Real P, Real Y, Index C>
void forward(const Cpu& cpu, RmsNorm op, Rows<X, C> x, Vector<P, C> gain, Rows<Y, C> y, RmsNorm::Saved<Wide<X>> saved) {
  using S = Wide<X>;
  cpu.parallel_for(x.rows, [=](Index t) {
    const auto row = x[t];
    const S squares = sum_in_chains<S>(C, [=](Index c) { return static_cast<S>(row[c]) * static_cast<S>(row[c]); });
    saved.r[t] = 1 / std::sqrt(squares / C + static_cast<S>(op.epsilon));
  });
  recompute(cpu, op, x, gain, saved, y);
}

/// dx. With n = x * r and g = dy * gain:  dx = r * (g - n * mean(g * n)).
template <Real X, Real P, Real DY, Index C>
void backward(const Cpu& cpu, RmsNorm, Rows<X, C> x, Vector<P, C> gain, RmsNorm::Saved<Wide<X>> saved, Rows<DY, C> dy, Rows<Wide<X>, C> dx, Write write) {
  using S = Wide<X>;
  cpu.parallel_for(x.rows, [=](Index t) {
    const S r = saved.r[t];
    const auto row = x[t];
    const auto slope = dy[t];
    const auto out = dx[t];
    const S product = sum_in_chains<S>(C, [=](Index c) { return static_cast<S>(slope[c]) * static_cast<S>(gain[c]) * static_cast<S>(row[c]); });
    const S along = product * r * r / C;
#pragma omp simd
    for (Index c = 0; c < C; ++c) {
      const S value = r * (static_cast<S>(slope[c]) * static_cast<S>(gain[c]) - static_cast<S>(row[c]) * along);
      out[c] = write == Write::accumulate ? out[c] + value : value;
    }
  });
}

/// dgain += sum over rows of dy * n, the gradient of the gain.
template <Real X, Real DY, Real G, Index C>
void gain_gradient(const Cpu& cpu, RmsNorm, Rows<X, C> x, RmsNorm::Saved<Wide<X>> saved, Rows<DY, C> dy, Vector<G, C> dgain) {
  using S = Wide<X>;
  for_column_blocks(cpu, C, [=](Index first, Index end) {
    for (Index t = 0; t < x.rows; ++t) {
      const S r = saved.r[t];
      const auto row = x[t];
      const auto slope = dy[t];
#pragma omp simd
      for (Index c = first; c < end; ++c) dgain[c] += static_cast<G>(static_cast<S>(slope[c]) * static_cast<S>(row[c]) * r);
    }
  });
}

}  // namespace terse::ops
