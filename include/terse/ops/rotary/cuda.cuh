#pragma once
#include <cstdint>
#include <numbers>
#include <span>
#include <type_traits>

#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/ops/rotary/op.hpp>

namespace terse::ops::gpu {

/// Frequencies of a row's pairs, which travel as an argument: worked out in double, of which GPUs have little.
struct RotaryFrequencies {
  static constexpr Index most_pairs = 128;
  float value[most_pairs];
};

template <Real S>
__global__ void rotary_angles(RotaryFrequencies frequencies, const std::int32_t* positions, RowsView<S> angles) {
  const Index t = device::row_of_warp(), pairs = angles.columns / 2;
  if (!device::inside(t, angles.rows)) return;
  const auto position = static_cast<float>(positions[t]);
  for (Index i = device::lane(); device::inside(i, pairs); i += device::warp_lanes) {
    // The angle as the CPU has it, in float. sincosf reduces large ones through memory of the thread, so turns are counted here, in double, and whole ones left out.
    const double turns = static_cast<double>(position * frequencies.value[i]) * (std::numbers::inv_pi / 2);
    float sine, cosine;
    sincospif(2 * static_cast<float>(turns - rint(turns)), &sine, &cosine);
    angles[t][i] = cosine, angles[t][pairs + i] = sine;
  }
}

/// How many pairs a thread turns: as many as an access holds, if heads and halves of what is rotated begin at multiples of that.
template <Real T>
constexpr int rotary_pairs(Index pairs, Index D, Index columns) {
  int each = device::values_per_access<T>;
  while (pairs % each != 0 || D % each != 0 || columns % each != 0) each /= 2;
  return each;
}

/// `sign` is 1 or -1: forth or back.
template <int each, Real S, Real T>
__global__ void rotate(RowsView<const S> angles, RowsView<T> qkv, int heads, int head_columns, float sign) {
  const Index t = device::row_of_warp();
  if (!device::inside(t, qkv.rows)) return;
  const int pairs = static_cast<int>(angles.columns) / 2;
  const S* const cosine = angles[t];
  for (int k = device::lane() * each; device::inside(k, heads * pairs); k += device::warp_lanes * each) {
    const int head = k / pairs, i = k % pairs;
    T* const first = qkv[t] + head * head_columns + i;
    float cosines[each], sines[each], a[each], b[each];
    device::load(cosines, cosine + i);
    device::load(sines, cosine + pairs + i);
    device::load(a, first);
    device::load(b, first + pairs);
    for (int j = 0; j < each; ++j) {
      const float turn = sign * sines[j], x = a[j];
      a[j] = x * cosines[j] - b[j] * turn;
      b[j] = b[j] * cosines[j] + x * turn;
    }
    device::store(first, a);
    device::store(first + pairs, b);
  }
}

}  // namespace terse::ops::gpu

namespace terse::ops {

/// angles of each position; the contract stands in ops/rotary/op.hpp. Moves 4 bytes a value.
template <Real S, Index rotated>
void rotary_angles(const Cuda& cuda, Rotary op, std::span<const std::int32_t> positions, Rows<S, rotated> angles) {
  static_assert(rotated % 2 == 0 && rotated / 2 <= gpu::RotaryFrequencies::most_pairs, "terse: rotary positions on CUDA: at most 256 columns of a head");
  gpu::RotaryFrequencies frequencies{};
  for (Index i = 0; i < rotated / 2; ++i) frequencies.value[i] = op.frequency<float>(i, rotated);
  device::launch(cuda, gpu::rotary_angles<S>, device::warps_for(angles.rows), frequencies, positions.data(), view_of(angles));
}

/// Turns the first `heads` heads of each row, D columns each, in place. Moves 2 sizeof(T) bytes a value that is turned, and 4 rotated bytes a row.
template <Index heads, Index D, Real S, Real T, Index rotated, Index columns>
void rotate(const Cuda& cuda, Rows<S, rotated> angles, Rows<T, columns> qkv, Rotation way = Rotation::forth) {
  static_assert(rotated % 2 == 0 && rotated <= D && heads * D <= columns);
  constexpr int each = gpu::rotary_pairs<T>(rotated / 2, D, columns);
  device::launch(cuda, gpu::rotate<each, std::remove_const_t<S>, T>, device::warps_for(qkv.rows), view_of(angles), view_of(qkv), static_cast<int>(heads), static_cast<int>(D),
                 way == Rotation::forth ? 1.0f : -1.0f);
}

}  // namespace terse::ops
