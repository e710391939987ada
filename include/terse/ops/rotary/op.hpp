#pragma once
#include <cmath>
#include <cstdint>

#include <terse/core/shape.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864), in the order of columns that Llama's and GPT-NeoX's checkpoints at Hugging Face have.
///
///   angles[t] = cos and sin of position / theta^(2i / rotated), i < rotated / 2
///   rotate: of each head of queries and keys, columns i and i + rotated / 2 of the first `rotated`
///           (a, b) -> (a cos - b sin, b cos + a sin)
///
/// Shapes     angles (T, rotated): the cosines, then the sines · qkv (T, …): heads of queries and keys first, D columns each (ops/attention/op.hpp)
/// Precision  frequencies and angles in float, as transformers has them (double for double)
/// Backward   the gradient is rotated back: the same with -sin
struct Rotary {
  double theta = 10000;

  /// Angle for each position of pair i of `rotated` / 2.
  template <class S>
  S frequency(Index i, Index rotated) const { return static_cast<S>(1 / std::pow(theta, 2 * static_cast<double>(i) / static_cast<double>(rotated))); }
};

/// Which way.
enum class Rotation { forth, back };

}  // namespace terse::ops
