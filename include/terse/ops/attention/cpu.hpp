#pragma once
#include <algorithm>
#include <cmath>

#include <terse/core/packed_batch.hpp>
#include <terse/device/cpu.hpp>
#include <terse/device/math.hpp>
#include <terse/ops/attention/op.hpp>
#include <terse/ops/dropout/cpu.hpp>
#include <terse/ops/matmul/invariant.hpp>

namespace terse::ops::inline TERSE_ISA {

/// One thread's working memory for a head of a document of up to `length` tokens.
template <class S, Index D>
struct AttentionScratch {
  static constexpr Index tile = Attention<1>::query_tile;

  S *keys_transposed, *values_transposed;  // (D, stride)
  S *keys, *values;                        // (length, D)
  S *dkeys, *dvalues;                      // (length, D)
  S *scores, *slopes;                      // (tile, stride)
  S *factors;                              // (tile, stride) dropout
  S *out;                                  // (tile, D)
  Index stride = 0;

  /// Without memory: counts. Returns the bytes taken.
  constexpr std::size_t lay_out(S* memory, Index length) {
    stride = round_up(length, Index{16});
    std::size_t used = 0;
    const auto take = [&](Index count) {
      S* const part = memory == nullptr ? nullptr : memory + used;
      used += static_cast<std::size_t>(round_up(count, Index{16}));
      return part;
    };
    keys_transposed = take(D * stride), values_transposed = take(D * stride);
    keys = take(length * D), values = take(length * D), dkeys = take(length * D), dvalues = take(length * D);
    scores = take(tile * stride), slopes = take(tile * stride), factors = take(tile * stride);
    out = take(tile * D);
    return used * sizeof(S);
  }
};

/// Bytes each thread needs for documents of up to `length` tokens.
template <class S, Index D>
constexpr std::size_t attention_scratch(Index length) {
  AttentionScratch<S, D> scratch{};
  return scratch.lay_out(nullptr, length);
}

/// One head of one document: where its rows are, and this thread's scratch.
template <class S, Index D>
struct AttentionHead {
  AttentionScratch<S, D> scratch{};
  Index length;
  S scale = 1 / std::sqrt(static_cast<S>(D));

  AttentionHead(const Cpu& cpu, Index document_length) : length(document_length) {
    scratch.lay_out(reinterpret_cast<S*>(cpu.thread_scratch()), length);
  }

  /// (length, D) inside rows of `row_stride` -> (D, stride), the columns past the end zero.
  template <class T>
  void transpose(const T* source, Index row_stride, S* target) const {
    for (Index d = 0; d < D; ++d) {
      for (Index j = 0; j < length; ++j) target[d * scratch.stride + j] = static_cast<S>(source[j * row_stride + d]);
      for (Index j = length; j < scratch.stride; ++j) target[d * scratch.stride + j] = 0;
    }
  }
  template <class T>
  void copy(const T* source, Index row_stride, S* target) const {
    for (Index j = 0; j < length; ++j)
      for (Index d = 0; d < D; ++d) target[j * D + d] = static_cast<S>(source[j * row_stride + d]);
  }

  /// Keys a tile of queries [first, first + rows) can see, rounded up to whole vectors.
  Index keys_seen(Index first, Index rows) const { return std::min(scratch.stride, round_up(first + rows, Index{16})); }
};

/// scores (row) -> exp(score * scale - log_sum) for keys <= query, 0 after.
template <class S>
void probabilities(S* scores, Index query, Index seen, S scale, S log_sum) {
#pragma omp simd
  for (Index j = 0; j <= query; ++j) scores[j] = fast_exp(scores[j] * scale - log_sum);
  for (Index j = query + 1; j < seen; ++j) scores[j] = 0;
}

}  // namespace terse::ops::inline TERSE_ISA

namespace terse::ops {

/// Calls body(document, head of keys and values) for each pair, on the device's threads, whose scratch must hold the longest document.
template <class S, Index D, Index heads, class Body>
void for_each_head(const Cpu& cpu, const PackedBatch& batch, Body&& body) {
  std::int32_t longest = 0;
  for (std::size_t b = 1; b < batch.cu_seqlens.size(); ++b) longest = std::max(longest, batch.cu_seqlens[b] - batch.cu_seqlens[b - 1]);
  if (attention_scratch<S, D>(longest) > cpu.thread_scratch_bytes())
    fail(Failure::internal, "attention scratch of ", cpu.thread_scratch_bytes(), " bytes a thread is too small for a document of ", longest,
         " tokens; reserve attention_scratch bytes first");
  cpu.parallel_for_uneven(batch.sequences() * heads, [&](Index task) { body(task / heads, task % heads); });
}

/// out and saved.log_sums from qkv; the contract stands in ops/attention/op.hpp.
template <Index heads, Index key_value_heads, Real T, Real Y, Index columns, Index C>
void forward(const Cpu& cpu, Attention<heads, key_value_heads>, const PackedBatch& batch, const Dropout& dropout, Rows<T, columns> qkv, Rows<Y, C> out,
             typename Attention<heads, key_value_heads>::template Saved<Wide<T>> saved) {
  using Op = Attention<heads, key_value_heads>;
  constexpr Index D = C / heads, tile = Op::query_tile;
  static_assert(C == heads * D && columns == Op::qkv_columns(D));
  using S = Wide<T>;
  for_each_head<S, D, key_value_heads>(cpu, batch, [&](Index document, Index shared) {
    const auto b = static_cast<std::size_t>(document);
    const Index start = batch.cu_seqlens[b], length = batch.cu_seqlens[b + 1] - start;
    const AttentionHead<S, D> work(cpu, length);
    const auto& scratch = work.scratch;
    const auto* const key = qkv[start].data + C + shared * D;
    work.transpose(key, columns, scratch.keys_transposed);
    work.copy(key + key_value_heads * D, columns, scratch.values);
    for (Index head = shared * Op::sharing; head < (shared + 1) * Op::sharing; ++head) {
      const auto* const query = qkv[start].data + head * D;
      for (Index first = 0; first < length; first += tile) {
        const Index rows = std::min(tile, length - first), seen = work.keys_seen(first, rows);
        kernel::multiply<Write::overwrite>(rows, seen, D, query + first * columns, columns, 1, scratch.keys_transposed, scratch.stride, scratch.scores, scratch.stride);
        for (Index i = 0; i < rows; ++i) {
          S* const scores = scratch.scores + i * scratch.stride;
          const S largest = largest_of(scores, first + i + 1);
          const S sum = sum_in_chains<S>(first + i + 1, [=, scale = work.scale](Index j) { return fast_exp((scores[j] - largest) * scale); });
          const S log_sum = largest * work.scale + std::log(sum);
          saved.log_sums[start + first + i][head] = log_sum;
          probabilities(scores, first + i, seen, work.scale, log_sum);
          if (dropout.active()) {
            dropout_factors(dropout, batch.draws[b], head, first + i, first + i + 1, scratch.factors);
#pragma omp simd
            for (Index j = 0; j <= first + i; ++j) scores[j] *= scratch.factors[j];
          }
        }
        kernel::multiply<Write::overwrite>(rows, D, first + rows, scratch.scores, scratch.stride, 1, scratch.values, D, scratch.out, D);
        for (Index i = 0; i < rows; ++i)
          for (Index d = 0; d < D; ++d) assign(out[start + first + i][head * D + d], scratch.out[i * D + d]);
      }
    }
  });
}

/// With m the dropout factors, delta[i] = dout[i] · out[i]:  dP = (dout vᵀ) m,  dS = P (dP - delta),
/// dq = dS k / sqrt(D),  dk = dSᵀ q / sqrt(D),  dv = (P m)ᵀ dout; dk and dv are summed over the heads that share k and v.
template <Index heads, Index key_value_heads, Real T, Real Y, Real DY, Real DT, Index columns, Index C>
void backward(const Cpu& cpu, Attention<heads, key_value_heads>, const PackedBatch& batch, const Dropout& dropout, Rows<T, columns> qkv, Rows<Y, C> out,
              typename Attention<heads, key_value_heads>::template Saved<Wide<T>> saved, Rows<DY, C> dout, Rows<DT, columns> dqkv) {
  using Op = Attention<heads, key_value_heads>;
  constexpr Index D = C / heads, tile = Op::query_tile;
  static_assert(C == heads * D && columns == Op::qkv_columns(D));
  using S = Wide<T>;
  for_each_head<S, D, key_value_heads>(cpu, batch, [&](Index document, Index shared) {
    const auto b = static_cast<std::size_t>(document);
    const Index start = batch.cu_seqlens[b], length = batch.cu_seqlens[b + 1] - start;
    const AttentionHead<S, D> work(cpu, length);
    const auto& scratch = work.scratch;
    const Index key_column = C + shared * D, value_column = key_column + key_value_heads * D;
    work.transpose(qkv[start].data + key_column, columns, scratch.keys_transposed);
    work.transpose(qkv[start].data + value_column, columns, scratch.values_transposed);
    work.copy(qkv[start].data + key_column, columns, scratch.keys);
    std::fill_n(scratch.dkeys, length * D, S{0});
    std::fill_n(scratch.dvalues, length * D, S{0});
    for (Index head = shared * Op::sharing; head < (shared + 1) * Op::sharing; ++head) {
      const auto* const query = qkv[start].data + head * D;
      for (Index first = 0; first < length; first += tile) {
        const Index rows = std::min(tile, length - first), seen = work.keys_seen(first, rows), stride = scratch.stride;
        const auto* dout_tile = dout.data + (start + first) * C + head * D;
        kernel::multiply<Write::overwrite>(rows, seen, D, query + first * columns, columns, 1, scratch.keys_transposed, stride, scratch.scores, stride);
        kernel::multiply<Write::overwrite>(rows, seen, D, dout_tile, C, 1, scratch.values_transposed, stride, scratch.slopes, stride);
        for (Index i = 0; i < rows; ++i) {
          const Index position = first + i;
          S* const p = scratch.scores + i * stride;
          S* const ds = scratch.slopes + i * stride;
          S* const factors = scratch.factors;
          S delta = 0;
          for (Index d = 0; d < D; ++d)
            delta += static_cast<S>(dout_tile[i * C + d]) * static_cast<S>(out[start + position][head * D + d]);
          probabilities(p, position, seen, work.scale, saved.log_sums[start + position][head]);
          if (dropout.active()) {
            dropout_factors(dropout, batch.draws[b], head, position, position + 1, factors);
#pragma omp simd
            for (Index j = 0; j <= position; ++j) {
              ds[j] = p[j] * (ds[j] * factors[j] - delta) * work.scale;
              p[j] *= factors[j];
            }
          } else {
#pragma omp simd
            for (Index j = 0; j <= position; ++j) ds[j] = p[j] * (ds[j] - delta) * work.scale;
          }
          for (Index j = position + 1; j < seen; ++j) ds[j] = 0;
        }
        const Index keys = first + rows;
        kernel::multiply<Write::overwrite>(rows, D, keys, scratch.slopes, stride, 1, scratch.keys, D, scratch.out, D);
        kernel::multiply<Write::accumulate>(keys, D, rows, scratch.slopes, 1, stride, query + first * columns, columns, scratch.dkeys, D);
        kernel::multiply<Write::accumulate>(keys, D, rows, scratch.scores, 1, stride, dout_tile, C, scratch.dvalues, D);
        for (Index i = 0; i < rows; ++i)
          for (Index d = 0; d < D; ++d) assign(dqkv[start + first + i][head * D + d], scratch.out[i * D + d]);
      }
    }
    for (Index j = 0; j < length; ++j)
      for (Index d = 0; d < D; ++d) {
        assign(dqkv[start + j][key_column + d], scratch.dkeys[j * D + d]);
        assign(dqkv[start + j][value_column + d], scratch.dvalues[j * D + d]);
      }
  });
}

}  // namespace terse::ops
