#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

#include <cub/block/block_reduce.cuh>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/device/shared.cuh>
#include <terse/ops/cross_entropy/cuda.cuh>
#include <terse/ops/logits/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::gpu {

template <Real S>
__global__ void __launch_bounds__(softmax_threads) log_softmax(RowsView<S> rows, int vocabulary) {
  S* const row = rows[blockIdx.x];
  const auto statistics = softmax_statistics(row, vocabulary, device::shared<SoftmaxShared>());  // every thread has read the row
  const S log_sum = statistics.largest + logf(statistics.sum);
  for (int v = static_cast<int>(threadIdx.x); device::inside(v, vocabulary); v += softmax_threads)
    row[v] = log_sum - log_sum == 0 ? row[v] - log_sum : std::numeric_limits<S>::quiet_NaN();
}

/// A block a row. A thread owns the tokens v with v % threads its number, and does in order what the edits do to them: so two edits of one token need no barrier.
template <Real S>
__global__ void __launch_bounds__(device::block_threads) edit(const std::int32_t* starts, const LogitEdit* edits, RowsView<S> rows, int vocabulary) {
  const S never = -std::numeric_limits<S>::infinity();  // NVRTC 12.8 calls it at run time alone
  const int mine = static_cast<int>(threadIdx.x), b = static_cast<int>(blockIdx.x);
  S* const row = rows[b];
  for (std::int32_t e = starts[b]; e < starts[b + 1]; ++e) {
    const LogitEdit edit = edits[e];
    if (edit.kind == LogitEdit::Kind::only) {
      for (int v = mine; device::inside(v, vocabulary); v += device::block_threads)
        row[v] = v != edit.id ? never : row[v] == never ? S{0} : row[v];
    } else if (edit.id % device::block_threads == mine) {
      const S before = row[edit.id];
      row[edit.id] = edit.kind == LogitEdit::Kind::ban ? never
                     : edit.kind == LogitEdit::Kind::add ? before + edit.amount
                     : before < 0 ? before * edit.amount : before / edit.amount;
    }
  }
}

template <Real S>
struct BetterCandidate {
  __device__ Candidate<S> operator()(const Candidate<S>& a, const Candidate<S>& b) const {
    return b.score > a.score || (b.score == a.score && b.id < a.id) ? b : a;
  }
};

template <Real S>
struct BestShared {
  using Reduce = cub::BlockReduce<Candidate<S>, softmax_threads>;
  typename Reduce::TempStorage reduce;
  Candidate<S> last;
};

/// A block a row, a pass over it for each of the n best: each is the best of those that come after the one before. n is small, and the row stays in L2.
template <Real S>
__global__ void __launch_bounds__(softmax_threads) best(RowsView<const S> rows, int vocabulary, int n, Candidate<S>* candidates) {
  auto& shared = device::shared<BestShared<S>>();
  const Index b = blockIdx.x;
  const S* const row = rows[b];
  constexpr int none = std::numeric_limits<int>::max();
  Candidate<S> last{std::numeric_limits<S>::infinity(), -1};
  for (int i = 0; i < n; ++i) {
    Candidate<S> mine{-std::numeric_limits<S>::infinity(), none};
    for (int v = static_cast<int>(threadIdx.x); device::inside(v, vocabulary); v += softmax_threads) {
      const S score = row[v];
      const bool after = score < last.score || (score == last.score && v > last.id);
      if (after && (score > mine.score || (score == mine.score && v < mine.id))) mine = {score, v};
    }
    const Candidate<S> found = typename BestShared<S>::Reduce(shared.reduce).Reduce(mine, BetterCandidate<S>{});
    if (threadIdx.x == 0) {
      const bool comparable = found.id != none;  // else what is left of the row is NaN
      shared.last = comparable ? found : Candidate<S>{std::numeric_limits<S>::quiet_NaN(), 0};
      candidates[b * n + i] = shared.last;
    }
    __syncthreads();
    last = shared.last;  // which isn't written again before all have come to the next reduction
  }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// In place; see ops/logits/op.hpp. Reads the row twice, writes it once.
template <Index vocabulary, Index P>
void log_softmax(const Cuda& cuda, Rows<float, P> rows) {
  static_assert(vocabulary <= P && P % 8 == 0, "terse: on CUDA the padded vocabulary is a multiple of 8");
  device::launch(cuda, gpu::log_softmax<float>, {.blocks = device::grid(rows.rows), .threads = dim3(gpu::softmax_threads), .shared_bytes = sizeof(gpu::SoftmaxShared)}, view_of(rows),
                 static_cast<int>(vocabulary));
}

/// Each row's edits in their order, in place; see ops/logits/op.hpp. Moves 12 bytes an edit, times the threads of a block out of L1.
template <Index vocabulary, Index P>
void edit(const Cuda& cuda, LogitEdits edits, Rows<float, P> rows) {
  static_assert(vocabulary <= P);
  device::launch(cuda, gpu::edit<float>, {.blocks = device::grid(rows.rows), .threads = dim3(device::block_threads)}, edits.starts.data(), edits.edits, view_of(rows), static_cast<int>(vocabulary));
}

/// candidates (B, n): the n best of each row; see ops/logits/op.hpp. Reads the row n times, out of L2.
template <Index vocabulary, Real S, Index P>
void best(const Cuda& cuda, Rows<S, P> rows, Index n, std::span<Candidate<std::remove_const_t<S>>> candidates) {
  static_assert(vocabulary <= P);
  static_assert(std::is_same_v<std::remove_const_t<S>, float>, "terse: on CUDA logits are float");
  device::launch(cuda, gpu::best<float>, {.blocks = device::grid(rows.rows), .threads = dim3(gpu::softmax_threads), .shared_bytes = sizeof(gpu::BestShared<float>)},
                 view_of(rows), static_cast<int>(vocabulary), static_cast<int>(n), candidates.data());
}

}  // namespace terse::ops
