#pragma once
#include <array>

#include <terse/device/cpu.hpp>
#include <terse/ops/dropout/cpu.hpp>
#include <terse/ops/residual/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops {

namespace detail {

struct NoBias {
  constexpr int operator[](Index /*c*/) const { return 0; }
};

template <Real S, class Bias, Index C>
void join(const Cpu& cpu, const PackedBatch& batch, const Dropout& dropout, Rows<const S, C> x, Rows<const S, C> branch, Bias bias, Rows<S, C> y) {
  cpu.parallel_for(x.rows, [&, x, branch, bias, y](Index t) {
    const auto in = x[t], joins = branch[t];
    const auto out = y[t];
    if (!dropout.active()) {
#pragma omp simd
      for (Index c = 0; c < C; ++c) out[c] = in[c] + (joins[c] + static_cast<S>(bias[c]));
      return;
    }
    std::array<S, static_cast<std::size_t>(round_up(C, Index{4}))> factors;
    dropout_factors(dropout, batch.draws[static_cast<std::size_t>(document_of(batch, t))], 0, batch.positions[static_cast<std::size_t>(t)], C, factors.data());
#pragma omp simd
    for (Index c = 0; c < C; ++c) out[c] = in[c] + (joins[c] + static_cast<S>(bias[c])) * factors[static_cast<std::size_t>(c)];
  });
}

}  // namespace detail

/// y = x + dropout(branch + bias); the contract stands in ops/residual/op.hpp.
template <Real S, Real P, Index C>
void residual(const Cpu& cpu, const PackedBatch& batch, const Dropout& dropout, Rows<const S, C> x, Rows<const S, C> branch, Vector<P, C> bias, Rows<S, C> y) {
  detail::join(cpu, batch, dropout, x, branch, bias, y);
}

/// y = x + dropout(branch).
template <Real S, Index C>
void residual(const Cpu& cpu, const PackedBatch& batch, const Dropout& dropout, Rows<const S, C> x, Rows<const S, C> branch, Rows<S, C> y) {
  detail::join(cpu, batch, dropout, x, branch, detail::NoBias{}, y);
}

/// y += x.
template <Real X, Real Y, Index C>
void add(const Cpu& cpu, Rows<X, C> x, Rows<Y, C> y) {
  cpu.parallel_for(y.rows, [=](Index t) {
    const auto in = x[t];
    const auto out = y[t];
#pragma omp simd
    for (Index c = 0; c < C; ++c) out[c] += in[c];
  });
}

/// y = dropout(x): the branch's gradient; also the forward of a dropout that stands alone. In place if y is x.
template <Real X, Real Y, Index C>
void apply_dropout(const Cpu& cpu, const PackedBatch& batch, const Dropout& dropout, Rows<X, C> x, Rows<Y, C> y) {
  using S = Wide<X>;
  cpu.parallel_for(x.rows, [&, x, y](Index t) {
    const auto in = x[t];
    const auto out = y[t];
    if (!dropout.active()) {
#pragma omp simd
      for (Index c = 0; c < C; ++c) assign(out[c], static_cast<S>(in[c]));
      return;
    }
    std::array<S, static_cast<std::size_t>(round_up(C, Index{4}))> factors;
    dropout_factors(dropout, batch.draws[static_cast<std::size_t>(document_of(batch, t))], 0, batch.positions[static_cast<std::size_t>(t)], C, factors.data());
#pragma omp simd
    for (Index c = 0; c < C; ++c) assign(out[c], static_cast<S>(in[c]) * factors[static_cast<std::size_t>(c)]);
  });
}

}  // namespace terse::ops
