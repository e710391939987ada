#pragma once
/// Matrix products with weights of 8 bits: for decoding, whose time is the reading of weights, and for frozen weights, whose memory is spared.
///
///   quantize     w[k][n] ~ q[k][n] * scale[n]      q in [-127, 127], scale[n] = max over k of |w[k][n]| / 127
///   dequantize   w[k][n] = q[k][n] * scale[n]      as float, for a product of another kind
///   quantize     x[t][k] ~ p[t][k] * scale[t]      the same for rows of x, at each product
///   int8_matmul  y[t][n] = (sum over k of p[t][k] q[k][n]) * (scale[t] * scale[n])
///
/// Shapes     x (T, In) · w (In, Out), or (Out, In) for a tied head · y (T, Out)
/// Precision  the sums are exact, in 32 bits: at most 127² In < 2³¹, so In < 133,000. Roundings to the nearest, ties to even
/// Order      none, since sums are exact: a row's result doesn't depend on other rows, on threads or on the instruction set
/// Errors     none at run time. What isn't finite in x makes its row of y so; weights must be finite

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <terse/core/arena.hpp>
#include <terse/core/error.hpp>
#include <terse/device/cpu.hpp>
#include <terse/device/int8.hpp>
#include <terse/ops/matmul/panels.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// A quantized weight (In, Out): a view. Columns stand in panels of 96, in which four values of k of each column follow each other; zero beyond Out and In.
template <Index In, Index Out>
struct Int8Matrix {
  static_assert(In < 133'000, "terse: Int8Matrix: a sum over In would exceed 32 bits");
  static constexpr Index panel = 96, panels = divide_up(Out, panel), depth = round_up(In, Index{4}), padded = panels * panel, values_in_all = In * Out;

  std::int8_t* values = nullptr;  // (panels, depth / 4, panel, 4)
  float* scales = nullptr;        // (padded)
  std::int32_t* sums = nullptr;   // (padded) over k

  /// Bytes that it points to.
  static constexpr std::size_t bytes() { return static_cast<std::size_t>(padded * depth) + static_cast<std::size_t>(padded) * (sizeof(float) + sizeof(std::int32_t)); }
  /// Points it to memory of that size, aligned to 64 bytes.
  void bind(std::byte* memory) {
    values = reinterpret_cast<std::int8_t*>(memory);
    scales = reinterpret_cast<float*>(memory + padded * depth);
    sums = reinterpret_cast<std::int32_t*>(scales + padded);
  }
  std::int8_t& at(Index k, Index n) const { return values[(n / panel * (depth / 4) + k / 4) * panel * 4 + n % panel * 4 + k % 4]; }
};

/// Rows of x, quantized: what a product needs besides. A group of views (core/arena.hpp), for rows of up to `width` values.
template <Index width>
struct Int8Rows {
  Column<std::uint8_t> values;  // (T width), each with Int8Quads::offset added
  Column<float> scales;         // (T)

  constexpr void each(auto&& visit, Extent extent) { visit(values, extent.tokens * width), visit(scales, extent.tokens); }
};

}  // namespace terse::ops

namespace terse::ops::inline TERSE_ISA {
namespace int8_detail {

/// The largest magnitude as a float; NaN where there is one: of the bits, NaN's are the largest.
template <class T>
float largest_magnitude(const T* values, Index n, Index stride = 1) {
  std::uint32_t largest = 0;
#pragma omp simd reduction(max : largest)
  for (Index i = 0; i < n; ++i) largest = std::max(largest, std::bit_cast<std::uint32_t>(static_cast<float>(values[i * stride])) & 0x7FFFFFFFu);
  return std::bit_cast<float>(largest);
}

/// value / scale to the nearest integer; inverse is 1 / scale, or 0.
[[gnu::always_inline]] inline std::int32_t quantized(float value, float inverse) {
  constexpr float rounder = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low mantissa bits
  return std::bit_cast<std::int32_t>(value * inverse + rounder) - std::bit_cast<std::int32_t>(rounder);
}
inline float inverse_of(float largest) { return largest > 0 ? 127 / largest : 0; }

inline float* workspace_for(const Cpu& cpu, Index values) {
  if (cpu.workspace().bytes() < static_cast<std::size_t>(values) * sizeof(float))
    fail(Failure::internal, "a workspace of ", cpu.workspace().bytes(), " bytes is too small for a weight of ", values, " values in 32 bits; reserve what the model's workspace_bytes says");
  return reinterpret_cast<float*>(cpu.workspace().data());
}

/// The sums of a panel over `quads` quads of k, for some rows.
template <int rows>
inline void tile(Index quads, const std::uint8_t* x, Index ldx, const std::int8_t* w, kernel::Ahead<std::int8_t> ahead, std::int32_t (&sums)[rows][96]) {
  using Q = Int8Quads;
  constexpr int registers = Q::registers, width = registers * Q::lanes;
  for (int first = 0; first < 96; first += width) {
    typename Q::Register sum[rows][registers];
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < registers; ++j) sum[i][j] = Q::zero();
    const std::int8_t* at = w + 4 * first;
    for (Index q = 0; q < quads; ++q, at += 4 * 96) {
      typename Q::Register right[registers];
      for (int j = 0; j < registers; ++j) right[j] = Q::load(at + j * 4 * Q::lanes);
      ahead.fetch<1, 4 * width>(q, 4 * 96);
      for (int i = 0; i < rows; ++i) {
        const auto left = Q::fill(x + i * ldx + 4 * q);
        for (int j = 0; j < registers; ++j) Q::add_products(sum[i][j], left, right[j]);
      }
    }
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < registers; ++j) Q::store(sums[i] + first + j * Q::lanes, sum[i][j]);
  }
}

}  // namespace int8_detail
}  // namespace terse::ops::inline TERSE_ISA

namespace terse::ops {

/// q and its scales from w, of which element (k, n) stands at w[k * k_stride + n * n_stride]; w must be finite.
template <Real T, Index In, Index Out>
void quantize(const Cpu& cpu, const T* w, Index k_stride, Index n_stride, Int8Matrix<In, Out> q) {
  using Weight = Int8Matrix<In, Out>;
  cpu.parallel_for(Weight::panels, [=](Index p) {
    std::fill_n(q.values + p * Weight::panel * Weight::depth, Weight::panel * Weight::depth, std::int8_t{0});
    for (Index n = p * Weight::panel; n < (p + 1) * Weight::panel; ++n) {
      q.scales[n] = 0, q.sums[n] = 0;
      if (n >= Out) continue;
      const float largest = int8_detail::largest_magnitude(w + n * n_stride, In, k_stride), inverse = int8_detail::inverse_of(largest);
      q.scales[n] = largest / 127;
      for (Index k = 0; k < In; ++k)
        q.sums[n] += q.at(k, n) = static_cast<std::int8_t>(int8_detail::quantized(static_cast<float>(w[k * k_stride + n * n_stride]), inverse));
    }
  });
}
/// Of a weight as Linear has it.
template <Real T, Index In, Index Out>
void quantize(const Cpu& cpu, Matrix<T, In, Out> w, Int8Matrix<In, Out> q) {
  quantize(cpu, w.data, Out, 1, q);
}
/// Of the head's, whose rows are the outputs.
template <Real T, Index In, Index Out>
void quantize_transposed(const Cpu& cpu, Matrix<T, Out, In> w, Int8Matrix<In, Out> q) {
  quantize(cpu, w.data, 1, In, q);
}

/// Columns [first, first + count) of w, of which element (k, n) goes to w[k * k_stride + (n - first) * n_stride].
template <Index In, Index Out>
void dequantize(const Cpu& cpu, Int8Matrix<In, Out> q, Index first, Index count, float* w, Index k_stride, Index n_stride) {
  constexpr Index block = 32;  // columns: what a thread reads side by side and writes apart, or the other way round
  cpu.parallel_for(divide_up(count, block), [=](Index b) {
    const Index end = std::min(count, (b + 1) * block);
    for (Index quad = 0; quad < In; quad += 4)
      for (Index n = b * block; n < end; ++n) {
        const std::int8_t* const four = &q.at(quad, first + n);
        const float scale = q.scales[first + n];
        float* const out = w + quad * k_stride + n * n_stride;
        for (Index k = 0; k < std::min(Index{4}, In - quad); ++k) out[k * k_stride] = static_cast<float>(four[k]) * scale;
      }
  });
}
/// w (In, Out) in the device's workspace, which must have room for it: until the next op that takes some.
template <Index In, Index Out>
Matrix<float, In, Out> dequantized(const Cpu& cpu, Int8Matrix<In, Out> q) {
  float* const values = int8_detail::workspace_for(cpu, In * Out);
  dequantize(cpu, q, 0, Out, values, Out, 1);
  return {values};
}
/// Its transpose (Out, In) there.
template <Index In, Index Out>
Matrix<float, Out, In> dequantized_transposed(const Cpu& cpu, Int8Matrix<In, Out> q) {
  float* const values = int8_detail::workspace_for(cpu, In * Out);
  dequantize(cpu, q, 0, Out, values, 1, In);
  return {values};
}

/// y = x w; `p` is overwritten with x's rows, quantized.
template <Real X, Real Y, Index In, Index Out, Index width>
void int8_matmul(const Cpu& cpu, Rows<X, In> x, Int8Matrix<In, Out> w, Rows<Y, Out> y, Int8Rows<width> p) {
  using Weight = Int8Matrix<In, Out>;
  static_assert(Weight::depth <= width, "terse: int8_matmul: the quantized rows are narrower than x");
  constexpr Index depth = Weight::depth;
  cpu.parallel_for(x.rows, [=](Index t) {
    const X* const row = x[t].data;
    std::uint8_t* const out = p.values.data + t * depth;
    const float largest = int8_detail::largest_magnitude(row, In), inverse = int8_detail::inverse_of(largest);
    p.scales[t] = largest / 127;
#pragma omp simd
    for (Index k = 0; k < In; ++k) out[k] = static_cast<std::uint8_t>(int8_detail::quantized(static_cast<float>(row[k]), inverse) + Int8Quads::offset);
    std::fill(out + In, out + depth, std::uint8_t{Int8Quads::offset});
  });
  cpu.parallel_for(Weight::panels, [=](Index at) {
    const Index first = at * Weight::panel, columns = std::min(Weight::panel, Out - first);
    const std::int8_t *const values = w.values + first * depth, *const next = at + 1 < Weight::panels ? values + Weight::panel * depth : values;
    kernel::for_row_tiles(x.rows, [=]<int rows>(Index i) {
      const kernel::Share share = kernel::share_of(depth / 4, i / kernel::tile_rows, divide_up(x.rows, Index{kernel::tile_rows}));
      // Few rows: the CPU itself foresees what is read as it lies in memory.
      const kernel::Ahead<std::int8_t> ahead{next + share.first * 4 * Weight::panel, 0, x.rows <= kernel::tile_rows ? Index{1} << 62 : share.every};
      std::int32_t sums[rows][Weight::panel];
      int8_detail::tile<rows>(depth / 4, p.values.data + i * depth, depth, values, ahead, sums);
      for (int r = 0; r < rows; ++r) {
        Y* const out = y[i + r].data + first;
        const float scale = p.scales[i + r];
#pragma omp simd
        for (Index c = 0; c < columns; ++c)
          out[c] = static_cast<Y>(static_cast<float>(sums[r][c] - Int8Quads::offset * w.sums[first + c]) * (scale * w.scales[first + c]));
      }
    });
  });
}

}  // namespace terse::ops
