#pragma once
/// A warp's products. Sums are in float and lie as the accumulators of mma do, 16 x 8 each, whatever the dtype: fp16 and bf16 go through the tensor
/// cores; fp32 doesn't (no TF32: it has 11 bits), its lanes multiply what they need for their own sums.

#include <bit>
#include <cstdint>

#include <terse/device/bounds.cuh>
#include <terse/device/numeric.cuh>
#include <terse/ops/attention/cuda/tiles.cuh>

namespace terse::ops::gpu::attention {

/// A warp's own 16 rows as left factor. Read from global memory once, where registers hold them beside the sums; else again at each use, from L1.
template <class T, int D, bool in_registers = is_16_bit<T>>
struct OwnRows {
  static_assert(!in_registers);
  const T *upper, *lower;  // rows row and row + 8

  __device__ OwnRows(const HeadRows<const T>& rows, int first, const Lane& lane) : upper(rows[first + lane.row]), lower(rows[first + lane.row + 8]) {}

  /// The fragment of columns [16 k, 16 k + 16): both rows at columns `column` and the next, then both 8 further.
  __device__ void read(std::uint32_t (&a)[4], int k, const Lane& lane) const {
    const auto pair = [&](const T* row, int column) { return *reinterpret_cast<const std::uint32_t*>(row + 16 * k + column + lane.column); };
    a[0] = pair(upper, 0), a[1] = pair(lower, 0), a[2] = pair(upper, 8), a[3] = pair(lower, 8);
  }
};
template <class T, int D>
struct OwnRows<T, D, true> {
  std::uint32_t a[D / 16][4];

  __device__ OwnRows(const HeadRows<const T>& rows, int first, const Lane& lane) {
    const OwnRows<T, D, false> in_memory(rows, first, lane);
#pragma unroll
    for (int k = 0; k < D / 16; ++k) in_memory.read(a[k], k, lane);
  }
  __device__ void read(std::uint32_t (&to)[4], int k, const Lane&) const {
    for (int i = 0; i < 4; ++i) to[i] = a[k][i];
  }
};

/// sums (16, 16) = own (16, D) · rows [first, first + 16) of the tileᵀ.
template <class T, int D, bool in_registers>
__device__ inline void multiply_transposed(float (&sums)[2][4], const OwnRows<T, D, in_registers>& own, const Tile<T, D>& tile, int first, const Lane& lane) {
  const T* const row = tile.values[first + lane.number / 16 * 8 + lane.number % 8] + lane.number / 8 % 2 * 8;
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    std::uint32_t left[4], right[4];
    own.read(left, k, lane);
    device::ldmatrix(right, row + 16 * k);
    const std::uint32_t first_8[2] = {right[0], right[1]}, last_8[2] = {right[2], right[3]};
    device::mma<T>(sums[0], left, first_8);
    device::mma<T>(sums[1], left, last_8);
  }
}

template <int D>
__device__ inline void multiply_transposed(float (&sums)[2][4], const OwnRows<float, D, false>& own, const Tile<float, D>& tile, int first, const Lane& lane) {
#pragma unroll 2
  for (int k = 0; k < D; k += 4) {
    float upper[4], lower[4];
    device::load(upper, own.upper + k);
    device::load(lower, own.lower + k);
#pragma unroll
    for (int j = 0; j < 2; ++j)
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float right[4];
        device::load(right, &tile.values[first + 8 * j + lane.column + i][k]);
#pragma unroll
        for (int d = 0; d < 4; ++d) sums[j][i] += upper[d] * right[d], sums[j][2 + i] += lower[d] * right[d];
      }
  }
}

/// Where a warp lays sums down that it reads as left factor next: fp32 alone needs it. The rows' distance keeps eight of them in different banks.
template <class T>
struct Exchange {};
template <>
struct alignas(16) Exchange<float> {
  float values[group][group + 4];
};

/// sums (16, D) += left (16, 16) · rows [first, first + 16) of the tile; left lies as sums do, and is rounded to T.
template <class T, int D>
__device__ inline void multiply(float (&sums)[D / 8][4], const float (&left)[2][4], const Tile<T, D>& tile, int first, Exchange<T>&, const Lane& lane) {
  const auto pack = [](float low, float high) { return static_cast<std::uint32_t>(device::from_float<T>(low).bits) | static_cast<std::uint32_t>(device::from_float<T>(high).bits) << 16; };
  const std::uint32_t a[4] = {pack(left[0][0], left[0][1]), pack(left[0][2], left[0][3]), pack(left[1][0], left[1][1]), pack(left[1][2], left[1][3])};
  const T* const row = tile.values[first + lane.number % 16] + lane.number / 16 * 8;
#pragma unroll
  for (int n = 0; n < D / 8; n += 2) {
    std::uint32_t right[4];
    device::ldmatrix_transposed(right, row + 8 * n);
    const std::uint32_t first_8[2] = {right[0], right[1]}, last_8[2] = {right[2], right[3]};
    device::mma<T>(sums[n], a, first_8);
    device::mma<T>(sums[n + 1], a, last_8);
  }
}

template <int D>
__device__ inline void multiply(float (&sums)[D / 8][4], const float (&left)[2][4], const Tile<float, D>& tile, int first, Exchange<float>& exchange, const Lane& lane) {
  __syncwarp();  // nobody reads what was there before any more
#pragma unroll
  for (int j = 0; j < 2; ++j)
#pragma unroll
    for (int i = 0; i < 4; ++i) exchange.values[lane.row + i / 2 * 8][8 * j + lane.column + i % 2] = left[j][i];
  __syncwarp();
#pragma unroll 1
  for (int k = 0; k < group; ++k) {
    const float upper = exchange.values[lane.row][k], lower = exchange.values[lane.row + 8][k];
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      float right[2];
      device::load(right, &tile.values[first + k][8 * n + lane.column]);
      sums[n][0] += upper * right[0], sums[n][1] += upper * right[1];
      sums[n][2] += lower * right[0], sums[n][3] += lower * right[1];
    }
  }
}

/// This lane's part of a · b, of the D columns of one row.
template <int D, class T>
__device__ inline float part_of_dot(const T* a, const T* b, const Lane& lane) {
  float sum = 0;
#pragma unroll
  for (int n = 0; n < D / 8; ++n) {
    float left[2], right[2];
    device::load(left, a + 8 * n + lane.column);
    device::load(right, b + 8 * n + lane.column);
    sum += left[0] * right[0] + left[1] * right[1];
  }
  return sum;
}

/// Rows [first, first + 16) of `to` = sums (16, D), this lane's two rows times their factors; rows past the document's end are left out.
template <class T, int D>
__device__ inline void store_rows(const HeadRows<T>& to, int first, const float (&sums)[D / 8][4], const float (&factors)[2], const Lane& lane) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = first + lane.row + 8 * r;
    if (!device::inside(row, to.length)) continue;
    T* const values = to[row] + lane.column;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      const float pair[2] = {sums[n][2 * r] * factors[r], sums[n][2 * r + 1] * factors[r]};
      device::store(values + 8 * n, pair);
    }
  }
}

}  // namespace terse::ops::gpu::attention
