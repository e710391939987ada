#pragma once
#include <type_traits>

#include <terse/device/cpu.hpp>
#include <terse/ops/cast/cpu.hpp>
#include <terse/ops/matmul/op.hpp>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops {

namespace detail {

/// Says that 16-bit values, which go through float copies where the hardware has no products of them, can't be part of wider rows.
template <class T>
struct TakesColumns {
  static constexpr bool value = !is_16_bit<std::remove_const_t<T>>;
  static_assert(value, "terse: matmul: columns of wider rows are fp32 on a CPU, so LoRA is too");
};

// Double is for gradient checks: plain loops.
inline void gemm(Cpu& cpu, const GemmShape& s, const double* a, const double* b, double* c) {
  cpu.parallel_for(s.m, [=](Index i) {
    for (Index j = 0; j < s.n; ++j) {
      double sum = s.write == Write::accumulate ? c[i * s.ldc + j] : 0;
      for (Index p = 0; p < s.k; ++p)
        sum += a[s.transpose_a ? p * s.lda + i : i * s.lda + p] * b[s.transpose_b ? j * s.ldb + p : p * s.ldb + j];
      c[i * s.ldc + j] = sum;
    }
  });
}

inline void gemm(Cpu& cpu, const GemmShape& s, const float* a, const float* b, float* c) {
  cpu.blas().multiply(cpu.threads(), s, a, b, c);
}

// 16 bits where the hardware has no products of them: through float copies.
template <class In, class Out>
void gemm_through_float(Cpu& cpu, const GemmShape& s, const In* a, const In* b, Out* c) {
  if (cpu.workspace().bytes() < matmul_workspace<In>(s.m, s.n, s.k))
    fail(Failure::internal, "matmul workspace of ", cpu.workspace().bytes(), " bytes is too small for (", s.m, ", ", s.k, ") x (", s.k, ", ", s.n,
         "); reserve matmul_workspace bytes first");
  auto* a_float = reinterpret_cast<float*>(cpu.workspace().data());
  auto* b_float = a_float + round_up(s.m * s.k, Index{64});
  auto* c_float = b_float + round_up(s.k * s.n, Index{64});
  cast(cpu, a, a_float, s.m * s.k);
  cast(cpu, b, b_float, s.k * s.n);
  if constexpr (std::is_same_v<Out, float>) {
    gemm(cpu, s, a_float, b_float, c);
  } else {
    if (s.write == Write::accumulate) cast(cpu, c, c_float, s.m * s.n);
    gemm(cpu, s, a_float, b_float, c_float);
    cast(cpu, c_float, c, s.m * s.n);
  }
}

template <class In, class Out>
  requires is_16_bit<In>
void gemm(Cpu& cpu, const GemmShape& s, const In* a, const In* b, Out* c) {
#if defined(TERSE_WITH_ONEDNN)
  if constexpr (std::is_same_v<In, bfloat16>)
    if (Blas::multiplies_bfloat16()) return cpu.blas().multiply(cpu.threads(), s, a, b, c);
#endif
  gemm_through_float(cpu, s, a, b, c);
}

}  // namespace detail

/// y = x w; the contract stands in ops/matmul/op.hpp.
template <Real A, Real B, Real Y, Index X, Index In, Index Out, Index N>
void matmul(Cpu& cpu, Rows<A, X> x, Matrix<B, In, Out> w, Rows<Y, N> y) {
  static_assert(MatmulShapes<X, In, Out, N>::value);
  detail::gemm(cpu, GemmShape{false, false, x.rows, Out, In, In, Out, Out, Write::overwrite},
               static_cast<const A*>(x.data), static_cast<const B*>(w.data), y.data);
}

/// y = x w + bias; the contract stands in ops/matmul/op.hpp.
template <Real A, Real B, Real P, Real Y, Index X, Index In, Index Out, Index N>
void matmul_bias(Cpu& cpu, Rows<A, X> x, Matrix<B, In, Out> w, Vector<P, Out> bias, Rows<Y, N> y) {
  matmul(cpu, x, w, y);
  add_bias(cpu, bias, y);
}

/// y = x wᵀ; the contract stands in ops/matmul/op.hpp.
template <Real A, Real B, Real Y, Index X, Index In, Index Out, Index N>
void matmul_transposed(Cpu& cpu, Rows<A, X> x, Matrix<B, Out, In> w, Rows<Y, N> y) {
  static_assert(MatmulShapes<X, In, Out, N>::value);
  detail::gemm(cpu, GemmShape{false, true, x.rows, Out, In, In, In, Out, Write::overwrite},
               static_cast<const A*>(x.data), static_cast<const B*>(w.data), y.data);
}

/// dw = xᵀ dy, or dw += xᵀ dy; the contract stands in ops/matmul/op.hpp.
template <Real A, Real B, Real D, Index X, Index In, Index Out, Index N>
void matmul_gradient(Cpu& cpu, Rows<A, X> x, Rows<B, N> dy, Matrix<D, In, Out> dw, Write write) {
  static_assert(MatmulShapes<X, In, Out, N>::value);
  detail::gemm(cpu, GemmShape{true, false, In, Out, x.rows, In, Out, Out, write},
               static_cast<const A*>(x.data), static_cast<const B*>(dy.data), dw.data);
}

/// y = x w, or y += x w, of rows that are part of wider ones.
template <Real A, Real B, Real Y, Index In, Index stride, Index Out>
void matmul(Cpu& cpu, Columns<A, In, stride> x, Matrix<B, In, Out> w, Rows<Y, Out> y, Write write) {
  static_assert(detail::TakesColumns<A>::value);
  detail::gemm(cpu, GemmShape{false, false, x.rows, Out, In, stride, Out, Out, write}, static_cast<const A*>(x.data), static_cast<const B*>(w.data), y.data);
}

/// y = x wᵀ, or y += x wᵀ, into columns of wider rows.
template <Real A, Real B, Real Y, Index In, Index stride, Index Out>
void matmul_transposed(Cpu& cpu, Rows<A, In> x, Matrix<B, Out, In> w, Columns<Y, Out, stride> y, Write write) {
  static_assert(detail::TakesColumns<A>::value);
  detail::gemm(cpu, GemmShape{false, true, x.rows, Out, In, In, In, stride, write}, static_cast<const A*>(x.data), static_cast<const B*>(w.data), y.data);
}

/// dw = xᵀ dy, or dw += xᵀ dy, of an x that is part of wider rows.
template <Real A, Real B, Real D, Index In, Index stride, Index Out>
void matmul_gradient(Cpu& cpu, Columns<A, In, stride> x, Rows<B, Out> dy, Matrix<D, In, Out> dw, Write write) {
  static_assert(detail::TakesColumns<A>::value);
  detail::gemm(cpu, GemmShape{true, false, In, Out, x.rows, stride, Out, Out, write}, static_cast<const A*>(x.data), static_cast<const B*>(dy.data), dw.data);
}

}  // namespace terse::ops
