#pragma once
#include <cstdint>
#include <limits>
#include <span>

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

__global__ inline void __launch_bounds__(softmax_threads) log_softmax(RowsView<float> rows, int vocabulary) {
  float* const row = rows[Index{blockIdx.x}];
  const auto statistics = softmax_statistics(row, vocabulary, device::shared<SoftmaxShared>());  // every thread has read the row
  const float log_sum = statistics.largest + logf(statistics.sum);
  for (int v = static_cast<int>(threadIdx.x); device::inside(v, vocabulary); v += softmax_threads)
    row[v] = log_sum - log_sum == 0 ? row[v] - log_sum : std::numeric_limits<float>::quiet_NaN();
}

/// A block a row. A thread owns the tokens v with v % threads its number, and does in order what the edits do to them: so two edits of one token need no barrier.
__global__ inline void __launch_bounds__(device::block_threads) edit(const std::int32_t* starts, const LogitEdit* edits, RowsView<float> rows, int vocabulary) {
  constexpr float never = -std::numeric_limits<float>::infinity();
  const int mine = static_cast<int>(threadIdx.x), b = static_cast<int>(blockIdx.x);
  float* const row = rows[Index{b}];
  for (std::int32_t e = starts[b]; e < starts[b + 1]; ++e) {
    const LogitEdit edit = edits[e];
    if (edit.kind == LogitEdit::Kind::only) {
      for (int v = mine; device::inside(v, vocabulary); v += device::block_threads)
        row[v] = v != edit.id ? never : row[v] == never ? 0.0f : row[v];
    } else if (edit.id % device::block_threads == mine) {
      const float before = row[edit.id];
      row[edit.id] = edit.kind == LogitEdit::Kind::ban ? never
                     : edit.kind == LogitEdit::Kind::add ? before + edit.amount
                     : before < 0 ? before * edit.amount : before / edit.amount;
    }
  }
}

struct BetterCandidate {
  __device__ Candidate<float> operator()(const Candidate<float>& a, const Candidate<float>& b) const {
    return b.score > a.score || (b.score == a.score && b.id < a.id) ? b : a;
  }
};

using BestCandidate = cub::BlockReduce<Candidate<float>, softmax_threads>;
struct BestShared {
  BestCandidate::TempStorage reduce;
  Candidate<float> last;
};

/// A block a row, a pass over it for each of the n best: each is the best of those that come after the one before. n is small, and the row stays in L2.
__global__ inline void __launch_bounds__(softmax_threads) best(RowsView<const float> rows, int vocabulary, int n, Candidate<float>* candidates) {
  auto& shared = device::shared<BestShared>();
  const Index b = blockIdx.x;
  const float* const row = rows[b];
  constexpr int none = std::numeric_limits<int>::max();
  Candidate<float> last{std::numeric_limits<float>::infinity(), -1};
  for (int i = 0; i < n; ++i) {
    Candidate<float> mine{-std::numeric_limits<float>::infinity(), none};
    for (int v = static_cast<int>(threadIdx.x); device::inside(v, vocabulary); v += softmax_threads) {
      const float score = row[v];
      const bool after = score < last.score || (score == last.score && v > last.id);
      if (after && (score > mine.score || (score == mine.score && v < mine.id))) mine = {score, v};
    }
    const Candidate<float> found = BestCandidate(shared.reduce).Reduce(mine, BetterCandidate{});
    if (threadIdx.x == 0) {
      const bool comparable = found.id != none;  // else what is left of the row is NaN
      shared.last = comparable ? found : Candidate<float>{std::numeric_limits<float>::quiet_NaN(), 0};
      candidates[b * n + i] = shared.last;
    }
    __syncthreads();
    last = shared.last;
    __syncthreads();  // all have read it before it is written again
  }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// In place; see ops/logits/op.hpp. Reads the row twice, writes it once.
template <Index vocabulary, Index P>
void log_softmax(const Cuda& cuda, Rows<float, P> rows) {
  static_assert(vocabulary <= P && P % 8 == 0, "terse: on CUDA the padded vocabulary is a multiple of 8");
  device::launch(cuda, gpu::log_softmax, {.blocks = device::grid(rows.rows), .threads = dim3(gpu::softmax_threads), .shared_bytes = sizeof(gpu::SoftmaxShared)}, view_of(rows),
                 static_cast<int>(vocabulary));
}

/// Each row's edits in their order, in place; see ops/logits/op.hpp. Moves 12 bytes an edit, times the threads of a block out of L1.
template <Index vocabulary, Index P>
void edit(const Cuda& cuda, LogitEdits edits, Rows<float, P> rows) {
  device::launch(cuda, gpu::edit, {.blocks = device::grid(rows.rows), .threads = dim3(device::block_threads)}, edits.starts.data(), edits.edits, view_of(rows), static_cast<int>(vocabulary));
}

/// candidates (B, n): the n best of each row; see ops/logits/op.hpp. Reads the row n times, out of L2.
template <Index vocabulary, Index P>
void best(const Cuda& cuda, Rows<float, P> rows, Index n, std::span<Candidate<float>> candidates) {
  device::launch(cuda, gpu::best, {.blocks = device::grid(rows.rows), .threads = dim3(gpu::softmax_threads), .shared_bytes = sizeof(gpu::BestShared)},
                 view_of(Rows<const float, P>(rows)), static_cast<int>(vocabulary), static_cast<int>(n), candidates.data());
}

}  // namespace terse::ops
