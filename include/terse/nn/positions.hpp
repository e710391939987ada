#pragma once
/// What attention learns of positions: a policy of nn::Attention.
///
///   Scratch<S>       a group of views (core/arena.hpp) that the layers of a model share
///   prepare          fills it from the positions of a batch, before the first layer
///   rotate           changes queries and keys (of qkv, or of its gradient: Rotation::back) in place

#include <cstdint>
#include <span>

#include <terse/core/arena.hpp>
#include <terse/ops/rotary/cpu.hpp>

namespace terse::nn {

/// Nothing: GPT-2 adds learned positions to its embeddings instead.
struct Unrotated {
  template <class S>
  using Scratch = NoViews;

  template <class Device>
  static void prepare(Device&, std::span<const std::int32_t>, NoViews) {}
  template <Index heads, Index D, class Device, class Qkv>
  static void rotate(Device&, NoViews, Qkv, ops::Rotation) {}
};

/// Rotary positions (ops/rotary/op.hpp) in the first `rotated` columns of each head.
template <Index rotated, int theta = 10000>
struct Rotary {
  static_assert(rotated > 0 && rotated % 2 == 0, "terse: Rotary: the columns of a head that are rotated must be even in number");

  template <class S>
  struct Scratch {
    Rows<S, rotated> angles;  // (T, rotated) cosines, then sines

    constexpr void each(auto&& visit, Extent extent) { visit(angles, extent.tokens); }
  };

  template <class Device, class S>
  static void prepare(Device& device, std::span<const std::int32_t> positions, const Scratch<S>& scratch) {
    ops::rotary_angles(device, ops::Rotary{theta}, positions, scratch.angles);
  }
  /// The first `heads` heads of each row.
  template <Index heads, Index D, class Device, class S, class T, Index columns>
  static void rotate(Device& device, const Scratch<S>& scratch, Rows<T, columns> qkv, ops::Rotation way) {
    ops::rotate<heads, D>(device, scratch.angles, qkv, way);
  }
};

}  // namespace terse::nn
