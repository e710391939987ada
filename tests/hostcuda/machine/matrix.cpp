// ldmatrix and mma. Fragment layouts: PTX ISA, "Matrix Fragments for mma.m16n8k8", "… m16n8k16", "ldmatrix"; held against CuTe's traits by
// tests/hostcuda/self/fragments.cpp.

#include <bit>
#include <memory>

#include "block.hpp"
#include "terse/core/dtype.hpp"

namespace hostcuda {

namespace {

/// All 65,536 values of a 16-bit format.
template <class T>
float value_of(std::uint32_t bits) {
  static const auto table = [] {
    auto values = std::make_unique<float[]>(std::size_t{1} << 16);
    for (unsigned i = 0; i < 1u << 16; ++i) values[i] = float(std::bit_cast<T>(static_cast<std::uint16_t>(i)));
    return values;
  }();
  return table[bits & 0xFFFFu];
}

// Lane 4 g + t holds, of A, rows g and g + 8, of B column g; and of each 8 values of k, 2 t and 2 t + 1, the first in the low half.
// Of C rows g and g + 8, columns 2 t and 2 t + 1. Exact products are summed in float, k upwards: tensor cores round otherwise.
template <class T, int k>
void multiply(void* const* parts) {
  float a[16][k], b[k][8], sum[16][8];
  for (int lane = 0; lane < Block::lanes; ++lane) {
    const Fragments& part = *static_cast<const Fragments*>(parts[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int r = 0; r < k / 4; ++r)
      for (int h = 0; h < 2; ++h) a[g + 8 * (r % 2)][2 * t + h + 8 * (r / 2)] = value_of<T>(part.a[r] >> 16 * h);
    for (int r = 0; r < k / 8; ++r)
      for (int h = 0; h < 2; ++h) b[2 * t + h + 8 * r][g] = value_of<T>(part.b[r] >> 16 * h);
    for (int i = 0; i < 4; ++i) sum[g + 8 * (i / 2)][2 * t + i % 2] = part.sum[i];
  }
  for (int row = 0; row < 16; ++row)
    for (int i = 0; i < k; ++i)
      for (int column = 0; column < 8; ++column) sum[row][column] += a[row][i] * b[i][column];
  for (int lane = 0; lane < Block::lanes; ++lane) {
    const Fragments& part = *static_cast<const Fragments*>(parts[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) part.sum[i] = sum[g + 8 * (i / 2)][2 * t + i % 2];
  }
}

}  // namespace

void multiply_f16_k8(void* const* parts) { multiply<terse::half, 8>(parts); }
void multiply_f16_k16(void* const* parts) { multiply<terse::half, 16>(parts); }
void multiply_bf16_k16(void* const* parts) { multiply<terse::bfloat16, 16>(parts); }

// Lane 4 g + t gets of each matrix row g, columns 2 t and 2 t + 1; transposed: column g, rows 2 t and 2 t + 1.
void load_matrices(void* const* parts, int matrices, bool transposed) {
  for (int lane = 0; lane < Block::lanes; ++lane) {
    const int g = lane / 4, t = lane % 4;
    for (int m = 0; m < matrices; ++m) {
      const auto at = [&](int row, int column) { return std::uint32_t{static_cast<const MatrixRow*>(parts[8 * m + row])->values[column]}; };
      static_cast<MatrixRow*>(parts[lane])->to[m] = transposed ? at(2 * t, g) | at(2 * t + 1, g) << 16 : at(g, 2 * t) | at(g, 2 * t + 1) << 16;
    }
  }
}

}  // namespace hostcuda
