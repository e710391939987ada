#pragma once
#include <bit>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/device/shared.cuh>
#include <terse/ops/cross_entropy/cuda.cuh>
#include <terse/ops/sample/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu {

/// An unsigned number that grows as x does; the two zeros are one.
__device__ inline std::uint32_t order_of(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x + 0.0f);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}
__device__ inline float value_of(std::uint32_t order) { return std::bit_cast<float>((order >> 31) != 0 ? order & 0x7FFFFFFFu : ~order); }

using SampleSum = cub::BlockReduce<double, softmax_threads>;
using SampleScan = cub::BlockScan<double, softmax_threads>;
struct SampleShared {
  SoftmaxShared softmax;
  SampleSum::TempStorage sum;
  SampleScan::TempStorage scan;
  double total;
  unsigned counts[256];
  std::uint32_t order;
  int rank, first, last;
};

/// The whole block's view of one row. All threads call, with the same arguments, and all get the result.
///
/// Nothing is sorted: a place in an order of 50257 tokens is found by halving the range of scores 32 times, a sum over the row each time. Rows
/// are read again and again, but from L2, which holds those of a batch.
template <Real X>
struct SampleRow {
  const X* logits;
  int vocabulary;
  SampleShared& shared;
  float temperature = 1, threshold = -std::numeric_limits<float>::infinity(), largest = 0;

  __device__ float logit(int v) const { return device::to_float(logits[v]); }
  __device__ float score(int v) const { return logit(v) / temperature; }
  /// 0 for those that top_k drops.
  __device__ double weight(int v) const { return score(v) >= threshold ? static_cast<double>(expf(score(v) - largest)) : 0.0; }
  __device__ std::uint32_t order(int v) const { return order_of(score(v)); }

  /// Sum over v of term(v).
  template <class Term>
  __device__ double total(Term term) {
    double mine = 0;
    for (int v = static_cast<int>(threadIdx.x); device::inside(v, vocabulary); v += softmax_threads) mine += term(v);
    const double sum = SampleSum(shared.sum).Sum(mine);
    if (threadIdx.x == 0) shared.total = sum;
    __syncthreads();
    return shared.total;  // which isn't written again before all have come to the next sum
  }

  /// The first v, in order of v, up to which the terms sum up to more than `bound`; where rounding ate the rest, the last with a term.
  template <class Term>
  __device__ int first_beyond(Term term, double bound) {
    if (threadIdx.x == 0) shared.first = vocabulary, shared.last = 0;  // the scan is a barrier
    double before = 0;
    for (int tile = 0; device::inside(tile, vocabulary); tile += softmax_threads) {
      const int v = tile + static_cast<int>(threadIdx.x);
      const double mine = device::inside(v, vocabulary) ? term(v) : 0;
      double up_to = 0, all = 0;
      SampleScan(shared.scan).InclusiveSum(mine, up_to, all);
      if (mine > 0) {
        atomicMax(&shared.last, v);
        if (before + up_to > bound) atomicMin(&shared.first, v);
      }
      __syncthreads();
      if (shared.first < vocabulary) break;
      before += all;
    }
    const int result = shared.first < vocabulary ? shared.first : shared.last;
    __syncthreads();  // all have read it before another search begins
    return result;
  }

  /// The k-th largest logit, digit by digit from the top: 8 bits at a time are counted among those that have the digits found so far.
  __device__ float kth_largest(int k) {
    std::uint32_t found = 0, digits = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
      for (int i = static_cast<int>(threadIdx.x); device::inside(i, 256); i += softmax_threads) shared.counts[i] = 0;
      __syncthreads();
      for (int v = static_cast<int>(threadIdx.x); device::inside(v, vocabulary); v += softmax_threads)
        if (const std::uint32_t o = order_of(logit(v)); (o & digits) == found) atomicAdd(&shared.counts[o >> shift & 255u], 1u);
      __syncthreads();
      if (threadIdx.x == 0) {
        int digit = 255, left = k;
        for (; digit > 0 && static_cast<int>(shared.counts[digit]) < left; --digit) left -= static_cast<int>(shared.counts[digit]);
        shared.order = found | static_cast<std::uint32_t>(digit) << shift, shared.rank = left;
      }
      __syncthreads();
      found = shared.order, k = shared.rank, digits |= 255u << shift;  // written again two barriers on
    }
    return value_of(found);
  }

  /// The smallest order in [low, high] that `reaches`, which all from there on do; high if none does.
  template <class Reaches>
  __device__ static std::uint32_t smallest(std::uint32_t low, std::uint32_t high, Reaches reaches) {
    while (low < high) {
      const std::uint32_t middle = low + (high - low) / 2;
      if (reaches(middle)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /// The tokens of one order, numbered from the lowest id: that with this number.
  __device__ int with_order(std::uint32_t o, double number) {
    return first_beyond([&](int v) { return order(v) == o ? 1.0 : 0.0; }, number);
  }

  /// Draws from what top_p leaves, from the least likely up, as the CPU does: `uniform` of their weight is left behind.
  __device__ int draw_from_nucleus(double top_p, double uniform) {
    const auto above = [&](std::uint32_t o) { return total([&](int v) { return order(v) > o ? weight(v) : 0.0; }); };
    const auto count = [&](std::uint32_t o) { return total([&](int v) { return order(v) == o ? 1.0 : 0.0; }); };
    const auto weight_of = [&](std::uint32_t o) { return static_cast<double>(expf(value_of(o) - largest)); };
    const double bound = top_p * total([&](int v) { return weight(v); });
    // The least likely that stays: those above it weigh less than the bound. Of its equals only so many stay as are reached, the lowest ids.
    const std::uint32_t highest = order_of(largest), lowest = order_of(threshold), end = smallest(lowest, highest, [&](std::uint32_t o) { return above(o) < bound; });
    const double heavier = above(end), equals = count(end), each = weight_of(end), reached = ceil((bound - heavier) / each);
    const double stay = equals < 1 ? 0 : reached < 1 ? 1 : reached < equals ? reached : equals;
    const double left = uniform * (heavier + stay * each);
    if (left < stay * each) return with_order(end, stay - 1 - floor(left / each));
    // Behind them: the smallest order up to which more than the rest lies. Of its equals the highest ids come first.
    const double rest = left - stay * each;
    const std::uint32_t drawn = smallest(end + 1 < highest ? end + 1 : highest, highest, [&](std::uint32_t o) { return heavier - above(o) > rest; });
    const double among = count(drawn), place = floor((rest - (heavier - above(drawn) - among * weight_of(drawn))) / weight_of(drawn));
    return with_order(drawn, among - 1 - (place < 0 ? 0 : place < among - 1 ? place : among - 1));
  }

  __device__ int choose(const Sample& op, Draw draw, float largest_logit) {
    if (op.greedy) return first_beyond([&](int v) { return logit(v) == largest_logit ? 1.0 : 0.0; }, 0);
    temperature = op.temperature, largest = largest_logit / temperature;
    if (op.top_k > 0 && op.top_k < vocabulary) threshold = kth_largest(op.top_k) / temperature;
    const double uniform = draw.uniform();
    if (op.top_p < 1) return draw_from_nucleus(static_cast<double>(op.top_p), uniform);
    return first_beyond([&](int v) { return weight(v); }, uniform * total([&](int v) { return weight(v); }));
  }
};

/// A block a row, two of them an SM: without the number nvcc gives it 40 registers on 8.0, and some values no place in them.
template <Real X>
__global__ void __launch_bounds__(softmax_threads, 2) sample(Sample op, RowsView<const X> logits, int vocabulary, const Draw* draws, Choice<X>* choices) {
  auto& shared = device::shared<SampleShared>();
  const Index b = blockIdx.x;
  const auto statistics = softmax_statistics(logits[b], vocabulary, shared.softmax);
  const float log_sum = statistics.largest + logf(statistics.sum);
  const bool finite = log_sum - log_sum == 0;
  SampleRow<X> row{logits[b], vocabulary, shared};
  const int id = finite ? row.choose(op, draws[b], statistics.largest) : 0;
  if (threadIdx.x == 0) choices[b].id = id, choices[b].log_probability = finite ? row.logit(id) - log_sum : std::numeric_limits<float>::quiet_NaN();
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// choices[b] from logits[b]; see ops/sample/op.hpp. Moves sizeof(S) bytes a logit, and reads them from L2 some 7 times, 70 times with top_p.
template <Index vocabulary, Real S, Index P>
void sample(const Cuda& cuda, const Sample& op, Rows<S, P> logits, std::span<const Draw> draws, std::span<Choice<std::remove_const_t<S>>> choices) {
  static_assert(vocabulary <= P && P % 8 == 0, "terse: on CUDA the padded vocabulary is a multiple of 8");
  static_assert(std::is_same_v<std::remove_const_t<S>, float>, "terse: on CUDA logits that are sampled from are float");
  device::launch(cuda, gpu::sample<std::remove_const_t<S>>,
                 {.blocks = device::grid(logits.rows), .threads = dim3(gpu::softmax_threads), .shared_bytes = sizeof(gpu::SampleShared)}, op, view_of(logits),
                 static_cast<int>(vocabulary), draws.data(), choices.data());
}

}  // namespace terse::ops
