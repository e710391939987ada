#pragma once
#include <algorithm>
#include <cstddef>

#include <terse/device/cuda.cuh>
#include <terse/ops/attention/cuda.cuh>
#include <terse/ops/embedding/sorted_rows.cuh>
#include <terse/ops/overflow/cuda.cuh>
#include <terse/ops/reduce/cuda.cuh>
#include <terse/ops/workspace/cpu.hpp>

namespace terse::ops {

/// On a GPU: partial sums, sorted rows, attention's terms of each query. cuBLASLt's own is the device's (device/cublaslt.cuh).
template <>
struct Workspace<Cuda> {
  template <Real T>
  static constexpr std::size_t product(Index, Index, Index) { return 0; }
  static constexpr std::size_t column_sums(Index columns, int sums) { return column_sums_workspace(columns, sums); }
  static constexpr std::size_t added_rows(Index rows) { return sorted_rows_workspace(rows); }
  static constexpr std::size_t attention(Index tokens, Index heads) { return attention_workspace(tokens, heads); }
  static constexpr std::size_t step(Index documents, Index parameters) { return std::max(sum_workspace(), overflow_workspace(documents, parameters)); }
  template <Real S, Index D>
  static constexpr std::size_t attention_of_thread(Index) { return 0; }
};

}  // namespace terse::ops
