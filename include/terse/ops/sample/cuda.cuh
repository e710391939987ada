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
  float temperature = 1, largest = 0;
  /// What the rules leave: tokens with scores in [low, high], of those at `low` itself the ids up to `last`.
  float low = std::numeric_limits<float>::lowest(), high = std::numeric_limits<float>::infinity();
  int last = vocabulary;

  __device__ float logit(int v) const { return device::to_float(logits[v]); }
  __device__ float score(int v) const { return logit(v) / temperature; }
  __device__ bool stays(int v) const { return score(v) >= low && score(v) <= high && (score(v) > low || v <= last); }
  __device__ double weight(int v) const { return stays(v) ? static_cast<double>(expf(score(v) - largest)) : 0.0; }
  __device__ double weight_at(std::uint32_t o) const { return static_cast<double>(expf(value_of(o) - largest)); }
  __device__ std::uint32_t order(int v) const { return order_of(score(v)); }

  __device__ void drop_below(float least) {
    if (least > low) low = least, last = vocabulary;
  }

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

  /// The tokens of one order: how many they are, and, from the lowest id, that with this number.
  __device__ double count(std::uint32_t o) {
    return total([&](int v) { return order(v) == o && stays(v) ? 1.0 : 0.0; });
  }
  __device__ int with_order(std::uint32_t o, double number) {
    return first_beyond([&](int v) { return order(v) == o ? 1.0 : 0.0; }, number);
  }

  /// Leaves what top_p leaves: down to the least likely above which less than the bound lies. Of its equals only so many stay as are reached.
  __device__ void keep_nucleus(double top_p) {
    const auto above = [&](std::uint32_t o) { return total([&](int v) { return order(v) > o ? weight(v) : 0.0; }); };
    const double bound = top_p * total([&](int v) { return weight(v); });
    const std::uint32_t end = smallest(order_of(low), order_of(largest), [&](std::uint32_t o) { return above(o) < bound; });
    const double equals = count(end), reached = ceil((bound - above(end)) / weight_at(end));
    last = with_order(end, (reached < 1 ? 1 : reached < equals ? reached : equals) - 1), low = value_of(end);
  }

  /// Leaves what `typical` leaves: up to the distance from the mean score within which at least the bound lies.
  __device__ void keep_nearest_to_mean(double typical) {
    const double all = total([&](int v) { return weight(v); });
    const double mean = total([&](int v) { return stays(v) ? weight(v) * static_cast<double>(score(v)) : 0.0; }) / all;
    const auto distance = [&](float score) { return order_of(static_cast<float>(fabs(static_cast<double>(score) - mean))); };
    const std::uint32_t cut = smallest(order_of(0.0f), order_of(std::numeric_limits<float>::infinity()), [&](std::uint32_t far) {
      return total([&](int v) { return distance(score(v)) <= far ? weight(v) : 0.0; }) >= typical * all;
    });
    // Towards the mean distances fall, then they rise: the scores that stay are a range, too.
    const std::uint32_t middle = order_of(static_cast<float>(mean));
    const float nearest = value_of(smallest(order_of(low), middle, [&](std::uint32_t o) { return distance(value_of(o)) <= cut; }));
    high = value_of(smallest(middle, order_of(largest) + 1, [&](std::uint32_t o) { return distance(value_of(o)) > cut; }) - 1);
    drop_below(nearest);
  }

  /// The token up to which, from the least likely and of equals from the highest id, more than `left` lies: the CPU's order where top_p has been.
  __device__ int first_likelier(double left) {
    const auto up_to = [&](std::uint32_t o) { return total([&](int v) { return order(v) <= o ? weight(v) : 0.0; }); };
    const std::uint32_t drawn = smallest(order_of(low), order_of(largest), [&](std::uint32_t o) { return up_to(o) > left; });
    const double equals = count(drawn), place = floor((left - (up_to(drawn) - equals * weight_at(drawn))) / weight_at(drawn));
    return with_order(drawn, equals - 1 - (place < 0 ? 0 : place < equals - 1 ? place : equals - 1));
  }

  __device__ int choose(const Sample& op, Draw draw, float largest_logit) {
    if (op.greedy) return first_beyond([&](int v) { return logit(v) == largest_logit ? 1.0 : 0.0; }, 0);
    temperature = op.temperature, largest = largest_logit / temperature;
    if (op.top_k > 0 && op.top_k < vocabulary) drop_below(kth_largest(op.top_k) / temperature);
    if (op.top_p < 1) keep_nucleus(static_cast<double>(op.top_p));
    if (op.min_p > 0) drop_below(static_cast<float>(static_cast<double>(largest) + log(static_cast<double>(op.min_p))));
    if (op.typical < 1) keep_nearest_to_mean(static_cast<double>(op.typical));
    const double left = draw.uniform() * total([&](int v) { return weight(v); });
    return op.top_p < 1 ? first_likelier(left) : first_beyond([&](int v) { return weight(v); }, left);
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

/// choices[b] from logits[b]; see ops/sample/op.hpp. Moves sizeof(S) bytes a logit, and reads them from L2 some 7 times, 70 times with top_p, 35 more with typical.
template <Index vocabulary, Real S, Index P>
void sample(const Cuda& cuda, const Sample& op, Rows<S, P> logits, std::span<const Draw> draws, std::span<Choice<std::remove_const_t<S>>> choices) {
  static_assert(vocabulary <= P && P % 8 == 0, "terse: on CUDA the padded vocabulary is a multiple of 8");
  static_assert(std::is_same_v<std::remove_const_t<S>, float>, "terse: on CUDA logits that are sampled from are float");
  device::launch(cuda, gpu::sample<std::remove_const_t<S>>,
                 {.blocks = device::grid(logits.rows), .threads = dim3(gpu::softmax_threads), .shared_bytes = sizeof(gpu::SampleShared)}, op, view_of(logits),
                 static_cast<int>(vocabulary), draws.data(), choices.data());
}

}  // namespace terse::ops
