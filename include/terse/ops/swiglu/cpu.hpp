#pragma once
#include <terse/device/cpu.hpp>
#include <terse/device/math.hpp>
#include <terse/ops/swiglu/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// y = silu(gate) * up; the contract stands in ops/swiglu/op.hpp.
template <Real X, Real Y, Index M2, Index M>
void swiglu_forward(const Cpu& cpu, Rows<X, M2> x, Rows<Y, M> y) {
  static_assert(M2 == 2 * M);
  using S = Wide<X>;
  cpu.parallel_for(x.rows, [=](Index t) {
    const auto *const gate = x[t].data, *const up = gate + M;
    const auto out = y[t];
#pragma omp simd
    for (Index c = 0; c < M; ++c) {
      const S g = static_cast<S>(gate[c]);
      assign(out[c], g / (1 + fast_exp(-g)) * static_cast<S>(up[c]));
    }
  });
}

/// y again, and dx from dy.
template <Real X, Real Y, Real DY, Real DX, Index M2, Index M>
void swiglu_backward(const Cpu& cpu, Rows<X, M2> x, Rows<Y, M> y, Rows<DY, M> dy, Rows<DX, M2> dx) {
  static_assert(M2 == 2 * M);
  using S = Wide<X>;
  cpu.parallel_for(x.rows, [=](Index t) {
    const auto *const gate = x[t].data, *const up = gate + M;
    DX *const dgate = dx[t].data, *const dup = dgate + M;
    const auto out = y[t];
    const auto slope = dy[t];
#pragma omp simd
    for (Index c = 0; c < M; ++c) {
      const S g = static_cast<S>(gate[c]), u = static_cast<S>(up[c]), d = static_cast<S>(slope[c]);
      const S open = 1 / (1 + fast_exp(-g)), value = g * open;
      assign(out[c], value * u), assign(dup[c], d * value), assign(dgate[c], d * u * (open + value * (1 - open)));
    }
  });
}

}  // namespace terse::ops
