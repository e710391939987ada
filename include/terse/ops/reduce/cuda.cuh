#pragma once
/// Sums in an order that depends on the number of values alone.

#include <cstddef>
#include <type_traits>

#include <cub/block/block_reduce.cuh>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/device/shared.cuh>
#include <terse/ops/reduce/column_sums.cuh>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu {

template <Real T>
__global__ void fill(T* x, Index n, T value) {
  constexpr int each = device::values_per_access<T>;
  const Index first = device::first_value(each);
  if (device::all_inside(first, each, n)) {
    float values[each];
    for (float& v : values) v = device::to_float(value);
    device::store(x + first, values);
  } else {
    for (Index i = first; device::inside(i, n); ++i) x[i] = value;
  }
}

/// y[i] += x[i].
template <Real X, Real Y>
__global__ void add(const X* x, Y* y, Index n) {
  constexpr int each = device::values_per_access<X, Y>;
  const Index first = device::first_value(each);
  if (device::all_inside(first, each, n)) {
    float values[each], sums[each];
    device::load(values, x + first);
    device::load(sums, y + first);
    for (int i = 0; i < each; ++i) sums[i] += values[i];
    device::store(y + first, sums);
  } else {
    for (Index i = first; device::inside(i, n); ++i) y[i] = device::from_float<Y>(device::to_float(y[i]) + device::to_float(x[i]));
  }
}

template <Real P, Real Y>
__global__ void add_bias(const P* bias, RowsView<Y> y) {
  constexpr int each = device::values_per_access<P, Y>;
  const Index t = device::row_of_warp();
  if (!device::inside(t, y.rows)) return;
  for (Index c = device::lane() * each; device::inside(c, y.columns); c += device::warp_lanes * each) {
    float values[each], add[each];
    device::load(values, y[t] + c);
    device::load(add, bias + c);
    for (int i = 0; i < each; ++i) values[i] += add[i];
    device::store(y[t] + c, values);
  }
}

/// The terms of a bias's gradient: dy itself.
template <Real DY, int each>
struct BiasTerms {
  RowsView<const DY> dy;

  __device__ void operator()(float (&values)[1][each], Index t, Index c) const { device::load(values[0], dy[t] + c); }
};

// What is summed over a vector. Few values in float, all in double: a sum of 124 million squares in float would be off by percents.
struct Square {
  __device__ static float of(float x) { return x * x; }
};
struct Infinite {
  __device__ static float of(float x) { return x * 0; }  // NaN for NaN and infinity, else 0
};

inline constexpr Index most_partials = 512;
using BlockSum = cub::BlockReduce<double, device::block_threads>;

/// partial[block] = the sum of term.of(x) over this block's values.
template <class Term, Real T>
__global__ void sum_blocks(const T* x, Index n, double* partial) {
  constexpr int each = device::values_per_access<T>;
  double total = 0;
  for (Index first = device::first_value(each); device::inside(first, n); first += Index{gridDim.x} * device::block_threads * each) {
    float sum = 0;
    if (device::all_inside(first, each, n)) {
      float values[each];
      device::load(values, x + first);
      for (const float value : values) sum += Term::of(value);
    } else {
      for (Index i = first; device::inside(i, n); ++i) sum += Term::of(device::to_float(x[i]));
    }
    total += static_cast<double>(sum);
  }
  const double sum = BlockSum(device::shared<BlockSum::TempStorage>()).Sum(total);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__device__ inline void finish(double total, double* result) { *result = total; }
__device__ inline void finish(double total, bool* finite) { *finite = total == 0; }

/// One block: the partials' sum, as a number or as an answer.
template <class Result>
__global__ void sum_partials(const double* partial, Index count, Result* result) {
  double total = 0;
  for (Index i = threadIdx.x; device::inside(i, count); i += device::block_threads) total += partial[i];
  const double sum = BlockSum(device::shared<BlockSum::TempStorage>()).Sum(total);
  if (threadIdx.x == 0) finish(sum, result);
}

template <class Term, Real T, class Result>
void sum_vector(const Cuda& cuda, const T* x, Index n, Result* result) {
  const Index wanted = divide_up(n, Index{device::block_threads} * device::values_per_access<T>), blocks = wanted < most_partials ? wanted : most_partials;
  double* const partial = reinterpret_cast<double*>(cuda.workspace(most_partials * sizeof(double)));
  device::launch(cuda, sum_blocks<Term, T>, {.blocks = device::grid(blocks), .threads = dim3(device::block_threads), .shared_bytes = sizeof(BlockSum::TempStorage)}, x, n, partial);
  device::launch(cuda, sum_partials<Result>, {.blocks = dim3(1), .threads = dim3(device::block_threads), .shared_bytes = sizeof(BlockSum::TempStorage)}, partial, blocks, result);
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// Bytes of workspace that sum_of_squares and all_finite take.
constexpr std::size_t sum_workspace() { return static_cast<std::size_t>(gpu::most_partials) * sizeof(double); }

/// dbias += sum over rows of dy:  dy (T, C), dbias (C). Moves sizeof(DY) bytes a value. Workspace: column_sums_workspace(C, 1).
template <Real DY, Real G, Index C>
void bias_gradient(const Cuda& cuda, Rows<DY, C> dy, Vector<G, C> dbias) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  using In = std::remove_const_t<DY>;
  constexpr int each = device::values_per_access<In>;
  gpu::add_column_sums<each>(cuda, gpu::BiasTerms<In, each>{view_of(dy)}, dy.rows, C, gpu::Sums<G, 1>{{dbias.data}});
}

/// y += bias for each row:  y (T, C), bias (C). Moves 2 sizeof(Y) bytes a value.
template <Real Y, Real P, Index C>
void add_bias(const Cuda& cuda, Vector<P, C> bias, Rows<Y, C> y) {
  static_assert(C % 8 == 0, "terse: on CUDA widths are multiples of 8");
  device::launch(cuda, gpu::add_bias<std::remove_const_t<P>, Y>, device::warps_for(y.rows), bias.data, view_of(y));
}

/// x[i] = value. Moves sizeof(T) bytes a value.
template <Real T>
void fill(const Cuda& cuda, T* x, Index n, T value) {
  device::launch(cuda, gpu::fill<T>, device::threads_for(n, device::values_per_access<T>), x, n, value);
}

/// y[i] += x[i]. Moves 3 sizeof(T) bytes a value.
template <Real T>
void add(const Cuda& cuda, const T* x, T* y, Index n) {
  device::launch(cuda, gpu::add<T, T>, device::threads_for(n, device::values_per_access<T>), x, y, n);
}

/// *total = sum over i of x[i]²; infinite or NaN where any x is. `total` lies on the GPU. Moves sizeof(T) bytes a value. Workspace: sum_workspace().
template <Real T>
void sum_of_squares(const Cuda& cuda, const T* x, Index n, double* total) {
  gpu::sum_vector<gpu::Square>(cuda, x, n, total);
}

/// *finite = true if every value is finite. `finite` lies on the GPU. Moves sizeof(T) bytes a value. Workspace: sum_workspace().
template <Real T>
void all_finite(const Cuda& cuda, const T* x, Index n, bool* finite) {
  gpu::sum_vector<gpu::Infinite>(cuda, x, n, finite);
}

}  // namespace terse::ops
