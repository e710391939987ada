#pragma once
#include <type_traits>

#include <terse/device/cuda.cuh>
#include <terse/ops/matmul/op.hpp>
#include <terse/ops/reduce/cuda.cuh>
#include <terse/tensor/view.hpp>

namespace terse::ops {

namespace gpu {

template <Real A, Real B, Real C>
bool multiply(Cuda& cuda, const GemmShape& shape, const A* a, const B* b, C* c, const C* bias = nullptr) {
  static_assert(std::is_same_v<A, B>, "terse: matmul on CUDA: both factors have one dtype");
  return cuda.multiply(shape, a, b, c, bias);
}

}  // namespace gpu

/// y = x w; the contract stands in ops/matmul/op.hpp.
template <Real A, Real B, Real Y, Index X, Index In, Index Out, Index N>
void matmul(Cuda& cuda, Rows<A, X> x, Matrix<B, In, Out> w, Rows<Y, N> y) {
  static_assert(MatmulShapes<X, In, Out, N>::value);
  gpu::multiply<std::remove_const_t<A>, std::remove_const_t<B>>(cuda, {false, false, x.rows, Out, In, In, Out, Out, Write::overwrite}, x.data, w.data, y.data);
}

/// y = x w + bias; the contract stands in ops/matmul/op.hpp.
template <Real A, Real B, Real P, Real Y, Index X, Index In, Index Out, Index N>
void matmul_bias(Cuda& cuda, Rows<A, X> x, Matrix<B, In, Out> w, Vector<P, Out> bias, Rows<Y, N> y) {
  static_assert(MatmulShapes<X, In, Out, N>::value);
  const GemmShape shape{false, false, x.rows, Out, In, In, Out, Out, Write::overwrite};
  const Y* fused = nullptr;
  if constexpr (std::is_same_v<std::remove_const_t<P>, Y>) fused = bias.data;
  const bool added = gpu::multiply<std::remove_const_t<A>, std::remove_const_t<B>>(cuda, shape, x.data, w.data, y.data, fused);
  if (fused == nullptr || !added) add_bias(cuda, bias, y);
}

/// y = x wᵀ; the contract stands in ops/matmul/op.hpp.
template <Real A, Real B, Real Y, Index X, Index In, Index Out, Index N>
void matmul_transposed(Cuda& cuda, Rows<A, X> x, Matrix<B, Out, In> w, Rows<Y, N> y) {
  static_assert(MatmulShapes<X, In, Out, N>::value);
  gpu::multiply<std::remove_const_t<A>, std::remove_const_t<B>>(cuda, {false, true, x.rows, Out, In, In, In, Out, Write::overwrite}, x.data, w.data, y.data);
}

/// dw = xᵀ dy, or dw += xᵀ dy; the contract stands in ops/matmul/op.hpp.
template <Real A, Real B, Real D, Index X, Index In, Index Out, Index N>
void matmul_gradient(Cuda& cuda, Rows<A, X> x, Rows<B, N> dy, Matrix<D, In, Out> dw, Write write) {
  static_assert(MatmulShapes<X, In, Out, N>::value);
  gpu::multiply<std::remove_const_t<A>, std::remove_const_t<B>>(cuda, {true, false, In, Out, x.rows, In, Out, Out, write}, x.data, dy.data, dw.data);
}

}  // namespace terse::ops
