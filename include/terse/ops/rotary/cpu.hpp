#pragma once
#include <cmath>
#include <span>

#include <terse/device/cpu.hpp>
#include <terse/device/math.hpp>
#include <terse/ops/rotary/op.hpp>

namespace terse::ops {

/// angles of each position; the contract stands in ops/rotary/op.hpp.
template <Real S, Index rotated>
void rotary_angles(const Cpu& cpu, Rotary op, std::span<const std::int32_t> positions, Rows<S, rotated> angles) {
  constexpr Index pairs = rotated / 2;
  S frequencies[pairs];
  for (Index i = 0; i < pairs; ++i) frequencies[i] = op.frequency<S>(i, rotated);
  cpu.parallel_for(angles.rows, [=, &frequencies](Index t) {
    const auto position = static_cast<S>(positions[static_cast<std::size_t>(t)]);
    const auto row = angles[t];
    for (Index i = 0; i < pairs; ++i) row[i] = std::cos(position * frequencies[i]), row[pairs + i] = std::sin(position * frequencies[i]);
  });
}

/// Turns the first `heads` heads of each row, D columns each, in place.
template <Index heads, Index D, Real S, Real T, Index rotated, Index columns>
void rotate(const Cpu& cpu, Rows<S, rotated> angles, Rows<T, columns> qkv, Rotation way = Rotation::forth) {
  static_assert(rotated % 2 == 0 && rotated <= D && heads * D <= columns);
  constexpr Index pairs = rotated / 2;
  const S sign = way == Rotation::forth ? S{1} : S{-1};
  cpu.parallel_for(qkv.rows, [=](Index t) {
    const S *const cosine = angles[t].data, *const sine = cosine + pairs;
    for (Index head = 0; head < heads; ++head) {
      T *const first = qkv[t].data + head * D, *const second = first + pairs;
#pragma omp simd
      for (Index i = 0; i < pairs; ++i) {
        const S a = static_cast<S>(first[i]), b = static_cast<S>(second[i]), turn = sign * sine[i];
        assign(first[i], multiply_add(a, cosine[i], -(b * turn)));
        assign(second[i], multiply_add(b, cosine[i], a * turn));
      }
    }
  });
}

}  // namespace terse::ops
