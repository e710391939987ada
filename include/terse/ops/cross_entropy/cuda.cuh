#pragma once
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>

#include <cub/block/block_reduce.cuh>

#include <terse/core/packed_batch.hpp>
#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/device/shared.cuh>
#include <terse/ops/cross_entropy/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu {

/// Of some values: the largest, and the sum of exp(x - largest). None, or only -infinities: any number, and 0.
struct SoftmaxStatistics {
  float largest, sum;
};

struct JoinStatistics {
  __device__ SoftmaxStatistics operator()(const SoftmaxStatistics& a, const SoftmaxStatistics& b) const {
    if (b.sum == 0) return a;
    if (a.sum == 0) return b;
    const float largest = b.largest > a.largest ? b.largest : a.largest;
    return {largest, a.sum * expf(a.largest - largest) + b.sum * expf(b.largest - largest)};
  }
};

// A block a row: of 50257 logits each of 512 threads has about 100.
inline constexpr int softmax_threads = 512;
using ReduceStatistics = cub::BlockReduce<SoftmaxStatistics, softmax_threads>;
using ReduceSum = cub::BlockReduce<float, softmax_threads>;
struct SoftmaxShared {
  union {  // one after the other, a barrier between
    ReduceStatistics::TempStorage reduce;
    ReduceSum::TempStorage sum;
  };
  SoftmaxStatistics row;
};

/// Of the first n of a row's logits, the same for every thread of the block. `logits` is at a multiple of 16 bytes.
template <Real X>
__device__ inline SoftmaxStatistics softmax_statistics(const X* logits, Index n, SoftmaxShared& shared) {
  constexpr int each = device::values_per_access<X>;
  SoftmaxStatistics mine{std::numeric_limits<float>::lowest(), 0};  // not -infinity, as a thread's logits may be: rules ban tokens so
  const auto take = [&mine](const auto& values) {
    float largest = mine.largest;
    for (const float value : values) largest = value > largest ? value : largest;
    if (largest > mine.largest) mine.sum *= expf(mine.largest - largest), mine.largest = largest;
    for (const float value : values) mine.sum += expf(value - mine.largest);
  };
  const Index whole = n / each * each;
  for (Index v = Index{threadIdx.x} * each; device::inside(v, whole); v += softmax_threads * each) {
    float values[each];
    device::load(values, logits + v);
    take(values);
  }
  if (const Index v = whole + threadIdx.x; device::inside(v, n)) {
    const float value[] = {device::to_float(logits[v])};
    take(value);
  }
  const SoftmaxStatistics all = ReduceStatistics(shared.reduce).Reduce(mine, JoinStatistics{});
  if (threadIdx.x == 0) shared.row = all;
  __syncthreads();
  return shared.row;
}

/// Mean over v of logits[v] - largest, in the first n of a row; thread 0 has it. Not unrolled: it would take registers from those who don't smooth.
template <Real X>
__device__ inline float mean_below(const X* logits, Index n, float largest, ReduceSum::TempStorage& shared) {
  constexpr int each = device::values_per_access<X>;
  const Index whole = n / each * each;
  float mine = 0;
#pragma unroll 1
  for (Index v = Index{threadIdx.x} * each; device::inside(v, whole); v += softmax_threads * each) {
    float values[each];
    device::load(values, logits + v);
    for (const float value : values) mine += value - largest;
  }
  if (const Index v = whole + threadIdx.x; device::inside(v, n)) mine += device::to_float(logits[v]) - largest;
  return ReduceSum(shared).Sum(mine) / static_cast<float>(n);
}

template <Real X>
__global__ void __launch_bounds__(softmax_threads) cross_entropy(RowsView<const X> logits, Index vocabulary, const TokenId* targets, float* loss) {
  const Index n = blockIdx.x;
  const auto statistics = softmax_statistics(logits[n], vocabulary, device::shared<SoftmaxShared>());
  if (threadIdx.x == 0) loss[n] = statistics.largest + logf(statistics.sum) - device::to_float(logits[n][targets[n]]);
}

/// A block a row; rows from `count` on get slopes of zero. Logits and slopes may be the same memory: a thread writes what it alone has read.
template <Real X, Real D>
__global__ void __launch_bounds__(softmax_threads) cross_entropy_with_gradient(RowsView<const X> logits, Index vocabulary, Index count, const TokenId* targets, const float* weights,
                                                                               const float* loss_scale, float smoothing, float* loss, D* dlogits) {
  constexpr int each = device::values_per_access<X, D>;
  const Index n = blockIdx.x, columns = logits.columns;
  const X* const row = logits[n];
  D* const out = dlogits + n * columns;
  const bool counts = device::inside(n, count);
  SoftmaxStatistics statistics{};
  float of_target = 0, of_each = 0, factor = 0, at_target = 0;
  Index target = -1;
  if (counts) {
    auto& shared = device::shared<SoftmaxShared>();
    statistics = softmax_statistics(row, vocabulary, shared);
    target = targets[n], at_target = device::to_float(row[target]);
    const float slope = loss_scale == nullptr ? weights[n] : weights[n] * *loss_scale;
    factor = slope / statistics.sum, of_each = slope * smoothing / static_cast<float>(vocabulary), of_target = slope * (1 - smoothing) + of_each;
    float of_one = statistics.largest + logf(statistics.sum) - at_target;
    if (smoothing > 0) of_one = (1 - smoothing) * of_one + smoothing * (logf(statistics.sum) - mean_below(row, vocabulary, statistics.largest, shared.sum));
    if (threadIdx.x == 0) loss[n] = of_one;
    __syncthreads();  // every thread has read the target's logit before one writes its slope there
  }
  for (Index v = Index{threadIdx.x} * each; device::inside(v, columns); v += softmax_threads * each) {
    float values[each] = {};
    if (counts) {
      device::load(values, row + v);
      for (int i = 0; i < each; ++i) {
        const float probability = factor * expf(values[i] - statistics.largest);
        values[i] = device::inside(v + i, vocabulary) ? probability - (v + i == target ? of_target : of_each) : 0.0f;
      }
    }
    device::store(out + v, values);
  }
}

using WeightedSum = cub::BlockReduce<double, device::block_threads>;

/// One block.
template <Real S>
__global__ void weighted_sum(const float* weights, const S* losses, Index n, double* total) {
  double mine = 0;
  for (Index i = threadIdx.x; device::inside(i, n); i += device::block_threads) mine += static_cast<double>(weights[i]) * static_cast<double>(losses[i]);
  const double sum = WeightedSum(device::shared<WeightedSum::TempStorage>()).Sum(mine);
  if (threadIdx.x == 0) *total = sum;
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// The loss alone; the contract stands in ops/cross_entropy/op.hpp. Rows of logits behind the targets are left out. Moves sizeof(X) bytes a logit.
template <Index vocabulary, Real X, Index P>
void cross_entropy(const Cuda& cuda, Rows<X, P> logits, std::span<const TokenId> targets, Column<Wide<X>> loss) {
  static_assert(P % 8 == 0 && vocabulary <= P, "terse: on CUDA the padded vocabulary is a multiple of 8");
  device::launch(cuda, gpu::cross_entropy<std::remove_const_t<X>>,
                 {.blocks = device::grid(static_cast<Index>(targets.size())), .threads = dim3(gpu::softmax_threads), .shared_bytes = sizeof(gpu::SoftmaxShared)}, view_of(logits), vocabulary,
                 targets.data(), loss.data);
}

/// The loss and its gradient. Rows of logits behind the targets get a gradient of zero and no loss.
/// Moves 2 sizeof(X) + sizeof(D) bytes a logit, and sizeof(X) more where labels are smoothed.
template <Index vocabulary, Real X, Real D, Index P>
void cross_entropy_with_gradient(const Cuda& cuda, Rows<X, P> logits, std::span<const TokenId> targets, std::span<const float> weights, Column<Wide<X>> loss, Rows<D, P> dlogits,
                                 const float* loss_scale = nullptr, float label_smoothing = 0) {
  static_assert(P % 8 == 0 && vocabulary <= P, "terse: on CUDA the padded vocabulary is a multiple of 8");
  device::launch(cuda, gpu::cross_entropy_with_gradient<std::remove_const_t<X>, D>,
                 {.blocks = device::grid(logits.rows), .threads = dim3(gpu::softmax_threads), .shared_bytes = sizeof(gpu::SoftmaxShared)}, view_of(logits), vocabulary,
                 static_cast<Index>(targets.size()), targets.data(), weights.data(), loss_scale, label_smoothing, loss.data, dlogits.data);
}

/// *total = sum over n of weights[n] * loss[n]: a batch's loss, in double. `total` lies on the GPU.
inline void weighted_sum(const Cuda& cuda, std::span<const float> weights, Column<float> losses, double* total) {
  device::launch(cuda, gpu::weighted_sum<float>, {.blocks = dim3(1), .threads = dim3(device::block_threads), .shared_bytes = sizeof(gpu::WeightedSum::TempStorage)}, weights.data(),
                 losses.data, static_cast<Index>(weights.size()), total);
}

}  // namespace terse::ops
