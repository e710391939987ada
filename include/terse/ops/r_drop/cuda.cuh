#pragma once
#include <cmath>
#include <span>
#include <type_traits>

#include <cub/block/block_reduce.cuh>

#include <terse/core/packed_batch.hpp>
#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/device/shared.cuh>
#include <terse/ops/cross_entropy/cuda.cuh>
#include <terse/ops/r_drop/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu {

/// KL(p || q) and KL(q || p), or a thread's part of them.
struct Divergences {
  float of[2];
};

struct AddDivergences {
  __device__ Divergences operator()(const Divergences& a, const Divergences& b) const { return {{a.of[0] + b.of[0], a.of[1] + b.of[1]}}; }
};

using ReduceDivergences = cub::BlockReduce<Divergences, softmax_threads>;
struct RDropShared {
  SoftmaxShared softmax[2];
  ReduceDivergences::TempStorage reduce;
  Divergences divergences;
};

/// A row's softmax, and what its slopes are made of.
struct Twin {
  float largest, log_sum, inverse;  // of exp(x - largest): its sum's logarithm, and 1 / sum
  float weight;
  TokenId target;

  __device__ float probability(float x) const { return expf(x - largest) * inverse; }
  __device__ float log(float x) const { return x - largest - log_sum; }
};

/// A block a pair; rows from `count` on get slopes of zero. Logits and slopes may be the same memory: a thread writes what it alone has read.
template <Real X, Real D>
__global__ void __launch_bounds__(softmax_threads) r_drop_with_gradient(RowsView<const X> logits, Index vocabulary, Index count, const TokenId* targets, const float* weights,
                                                                        const float* loss_scale, LossTerms terms, float* loss, D* dlogits) {
  constexpr int each = device::values_per_access<X, D>;
  const Index n = 2 * Index{blockIdx.x}, columns = logits.columns;
  const X* const rows[] = {logits[n], logits[n + 1]};
  const bool counts = device::inside(n, count);
  const float share = terms.r_drop / 2, of_each = terms.label_smoothing / static_cast<float>(vocabulary), of_target = 1 - terms.label_smoothing + of_each;
  Twin twins[2] = {};
  Divergences divergences{};
  if (counts) {
    auto& shared = device::shared<RDropShared>();
    float entropies[2];
#pragma unroll
    for (int twin = 0; twin < 2; ++twin) {
      const auto statistics = softmax_statistics(rows[twin], vocabulary, shared.softmax[twin]);
      const TokenId target = targets[n + twin];
      twins[twin] = {statistics.largest, logf(statistics.sum), 1 / statistics.sum, loss_scale == nullptr ? weights[n + twin] : weights[n + twin] * *loss_scale, target};
      entropies[twin] = -twins[twin].log(device::to_float(rows[twin][target]));
      if (terms.label_smoothing > 0)
        entropies[twin] = (1 - terms.label_smoothing) * entropies[twin] +
                          terms.label_smoothing * (twins[twin].log_sum - mean_below(rows[twin], vocabulary, statistics.largest, shared.softmax[twin].sum));
    }
    Divergences mine{};
    for (Index v = Index{threadIdx.x} * each; device::inside(v, vocabulary); v += softmax_threads * each) {
      float values[2][each];
      device::load(values[0], rows[0] + v), device::load(values[1], rows[1] + v);
      for (int i = 0; i < each; ++i) {
        if (!device::inside(v + i, vocabulary)) break;
        const float difference = twins[0].log(values[0][i]) - twins[1].log(values[1][i]);
        mine.of[0] += twins[0].probability(values[0][i]) * difference, mine.of[1] -= twins[1].probability(values[1][i]) * difference;
      }
    }
    const Divergences sum = ReduceDivergences(shared.reduce).Reduce(mine, AddDivergences{});
    if (threadIdx.x == 0) {
      shared.divergences = sum;
#pragma unroll
      for (int twin = 0; twin < 2; ++twin) loss[n + twin] = entropies[twin] + share * (sum.of[0] + sum.of[1]);
    }
    __syncthreads();  // the divergences are there, and every thread has read the targets' logits before one writes slopes there
    divergences = shared.divergences;
  }
  const float pull = share * (twins[0].weight + twins[1].weight);
  for (Index v = Index{threadIdx.x} * each; device::inside(v, columns); v += softmax_threads * each) {
    float values[2][each] = {};
    if (counts) {
      device::load(values[0], rows[0] + v), device::load(values[1], rows[1] + v);
      for (int i = 0; i < each; ++i) {
        const float p[] = {twins[0].probability(values[0][i]), twins[1].probability(values[1][i])};
        const float difference = twins[0].log(values[0][i]) - twins[1].log(values[1][i]);
        const bool is_real = device::inside(v + i, vocabulary);
#pragma unroll
        for (int twin = 0; twin < 2; ++twin) {
          const float divergence = p[twin] * (1 + (twin == 0 ? difference : -difference) - divergences.of[twin]) - p[1 - twin];
          values[twin][i] = is_real ? twins[twin].weight * (p[twin] - (v + i == twins[twin].target ? of_target : of_each)) + pull * divergence : 0.0f;
        }
      }
    }
    device::store(dlogits + n * columns + v, values[0]), device::store(dlogits + (n + 1) * columns + v, values[1]);
  }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// The loss and its gradient; the contract stands in ops/r_drop/op.hpp. Rows of logits behind the targets get a gradient of zero and no loss; there are an even number of both.
/// Moves 3 sizeof(X) + sizeof(D) bytes a logit, and sizeof(X) more where labels are smoothed.
template <Index vocabulary, Real X, Real D, Index P>
void r_drop_with_gradient(const Cuda& cuda, Rows<X, P> logits, std::span<const TokenId> targets, std::span<const float> weights, Column<Wide<X>> loss, Rows<D, P> dlogits,
                          const float* loss_scale, LossTerms loss_terms) {
  static_assert(P % 8 == 0 && vocabulary <= P, "terse: on CUDA the padded vocabulary is a multiple of 8");
  device::launch(cuda, gpu::r_drop_with_gradient<std::remove_const_t<X>, D>,
                 {.blocks = device::grid(logits.rows / 2), .threads = dim3(gpu::softmax_threads), .shared_bytes = sizeof(gpu::RDropShared)}, view_of(logits), vocabulary,
                 static_cast<Index>(targets.size()), targets.data(), weights.data(), loss_scale, loss_terms, loss.data, dlogits.data);
}

}  // namespace terse::ops
