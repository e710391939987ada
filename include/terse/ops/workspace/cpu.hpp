#pragma once
#include <cstddef>

#include <terse/device/cpu.hpp>
#include <terse/ops/attention/cpu.hpp>
#include <terse/ops/matmul/op.hpp>

namespace terse::ops {

/// Bytes that ops take of a device besides their arguments: of its workspace, which one op at a time uses, and of each thread's scratch. A model takes the largest.
template <class Device>
struct Workspace;

/// On a CPU: 16-bit inputs of products as float, where it has no such products, and attention's tiles. (Frozen weights of 8 bits: models/lora.hpp.)
template <>
struct Workspace<Cpu> {
  /// A product (m, k) x (k, n).
  template <Real T>
  static constexpr std::size_t product(Index m, Index n, Index k) { return matmul_workspace<T>(m, n, k); }
  /// `sums` sums over each of so many columns.
  static constexpr std::size_t column_sums(Index /*columns*/, int /*sums*/) { return 0; }
  /// Rows added to the rows of a table.
  static constexpr std::size_t added_rows(Index /*rows*/) { return 0; }
  static constexpr std::size_t attention(Index /*tokens*/, Index /*heads*/) { return 0; }
  /// What a step takes besides its model: sums over all gradients, and the search for an overflow.
  static constexpr std::size_t step(Index /*documents*/, Index /*parameters*/) { return 0; }
  /// Attention's tiles, of documents of up to `length` tokens.
  template <Real S, Index D>
  static constexpr std::size_t attention_of_thread(Index length) { return attention_scratch<S, D>(length); }
};

}  // namespace terse::ops
