#pragma once
/// What a matrix product is asked for, whoever computes it.

#include <compare>

#include <terse/core/shape.hpp>
#include <terse/device/isa.hpp>

namespace terse::inline TERSE_ISA {

/// Whether a matmul replaces its output or adds to it.
enum class Write { overwrite, accumulate };

/// Row-major C (m, n) = op(A) op(B) (+ C), op(A) (m, k), op(B) (k, n); `lda`, `ldb`, `ldc` are the row strides as stored.
struct GemmShape {
  bool transpose_a, transpose_b;
  Index m, n, k, lda, ldb, ldc;
  Write write;

  auto operator<=>(const GemmShape&) const = default;
};

}  // namespace terse::inline TERSE_ISA
