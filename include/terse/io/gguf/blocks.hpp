#pragma once
/// A GGUF tensor's blocks to floats, bit for bit as ggml's dequantize_row_* (ggml-quants.c) and the Python package gguf have them.
///
/// A scale has 11 significant bits, a scale of scales at most 8, a quant at most 6: so every product that is added to something is exact
/// in float, and fused or not the sum is the same. std::fma says which it is, on every instruction set.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include <terse/core/dtype.hpp>
#include <terse/io/gguf/types.hpp>

namespace terse::io::detail {

using Block = const std::byte*;

inline int byte_at(Block block, std::size_t i) { return std::to_integer<int>(block[i]); }
inline int signed_byte_at(Block block, std::size_t i) { return static_cast<std::int8_t>(byte_at(block, i)); }

template <class T>
T load(Block block) {
  T value;
  std::memcpy(&value, block, sizeof value);
  return value;
}
inline float half_at(Block block) { return half(load<half>(block)); }

/// Quant i of 32, of 4 bits: the low halves of 16 bytes come first.
inline int four_bits(Block quants, std::size_t i) { return i < 16 ? byte_at(quants, i) & 15 : byte_at(quants, i - 16) >> 4; }
/// The same with a fifth bit from 32 bits apart.
inline int five_bits(Block fifth, Block quants, std::size_t i) { return four_bits(quants, i) | static_cast<int>(load<std::uint32_t>(fifth) >> i & 1u) << 4; }

inline void read_q4_0(Block block, float* values) {
  const float step = half_at(block);
  for (std::size_t i = 0; i < 32; ++i) values[i] = step * static_cast<float>(four_bits(block + 2, i) - 8);
}
inline void read_q4_1(Block block, float* values) {
  const float step = half_at(block), least = half_at(block + 2);
  float of_quant[16];  // fewer sums than values
  for (int quant = 0; quant < 16; ++quant) of_quant[quant] = std::fma(step, static_cast<float>(quant), least);
  for (std::size_t i = 0; i < 32; ++i) values[i] = of_quant[four_bits(block + 4, i)];
}
inline void read_q5_0(Block block, float* values) {
  const float step = half_at(block);
  for (std::size_t i = 0; i < 32; ++i) values[i] = step * static_cast<float>(five_bits(block + 2, block + 6, i) - 16);
}
inline void read_q5_1(Block block, float* values) {
  const float step = half_at(block), least = half_at(block + 2);
  for (std::size_t i = 0; i < 32; ++i) values[i] = std::fma(step, static_cast<float>(five_bits(block + 4, block + 8, i)), least);
}
inline void read_q8_0(Block block, float* values) {
  const float step = half_at(block);
  for (std::size_t i = 0; i < 32; ++i) values[i] = static_cast<float>(signed_byte_at(block, 2 + i)) * step;
}

/// Scale and minimum of part `j` of 8: 6 bits each, of 12 bytes (get_scale_min_k4).
inline std::pair<int, int> scale_and_minimum(Block scales, std::size_t j) {
  if (j < 4) return {byte_at(scales, j) & 63, byte_at(scales, j + 4) & 63};
  return {(byte_at(scales, j + 4) & 15) | byte_at(scales, j - 4) >> 6 << 4, byte_at(scales, j + 4) >> 4 | byte_at(scales, j) >> 6 << 4};
}
/// 8 parts of 32 values; `quant(part, i)` is the quant.
template <class Quant>
void read_scaled_parts(Block block, float* values, Quant quant) {
  for (std::size_t part = 0; part < 8; ++part) {
    const auto [scale, minimum] = scale_and_minimum(block + 4, part);
    const float step = half_at(block) * static_cast<float>(scale), least = half_at(block + 2) * static_cast<float>(minimum);
    for (std::size_t i = 0; i < 32; ++i) values[32 * part + i] = std::fma(step, static_cast<float>(quant(part, i)), -least);
  }
}
/// Low or high half of the byte: parts 0 and 1 share 32 bytes, as do 2 and 3, …
inline int half_byte(Block quants, std::size_t part, std::size_t i) { return byte_at(quants, part / 2 * 32 + i) >> (part % 2 * 4) & 15; }

inline void read_q4_k(Block block, float* values) {
  read_scaled_parts(block, values, [=](std::size_t part, std::size_t i) { return half_byte(block + 16, part, i); });
}
inline void read_q5_k(Block block, float* values) {
  read_scaled_parts(block, values, [=](std::size_t part, std::size_t i) { return half_byte(block + 48, part, i) | (byte_at(block + 16, i) >> part & 1) << 4; });
}
inline void read_q6_k(Block block, float* values) {
  const Block low = block, high = block + 128, scales = block + 192;
  for (std::size_t i = 0; i < 256; ++i) {
    const std::size_t side = i / 128, part = i / 32 % 4, at = i % 32;  // of each 128: 64 bytes of low halves, 32 bytes of upper pairs
    const int four = byte_at(low, 64 * side + part % 2 * 32 + at) >> (part / 2 * 4) & 15, two = byte_at(high, 32 * side + at) >> (2 * part) & 3;
    const float scale = half_at(block + 208) * static_cast<float>(signed_byte_at(scales, i / 16));
    values[i] = scale * static_cast<float>((four | two << 4) - 32);
  }
}

template <class Stored>
void read_plain(Block block, float* value) {
  *value = static_cast<float>(load<Stored>(block));
}

template <void read(Block, float*)>
void read_blocks(const GgmlFormat& format, Block blocks, std::span<float> values) {
  for (std::size_t done = 0; done < values.size(); done += static_cast<std::size_t>(format.block), blocks += format.bytes) read(blocks, values.data() + done);
}

/// Whole blocks of `values.size()` values.
inline void dequantize(GgmlType type, Block blocks, std::span<float> values) {
  const GgmlFormat& format = format_of(type);
  switch (type) {
    case GgmlType::f32: return read_blocks<read_plain<float>>(format, blocks, values);
    case GgmlType::f16: return read_blocks<read_plain<half>>(format, blocks, values);
    case GgmlType::bf16: return read_blocks<read_plain<bfloat16>>(format, blocks, values);
    case GgmlType::q4_0: return read_blocks<read_q4_0>(format, blocks, values);
    case GgmlType::q4_1: return read_blocks<read_q4_1>(format, blocks, values);
    case GgmlType::q5_0: return read_blocks<read_q5_0>(format, blocks, values);
    case GgmlType::q5_1: return read_blocks<read_q5_1>(format, blocks, values);
    case GgmlType::q8_0: return read_blocks<read_q8_0>(format, blocks, values);
    case GgmlType::q4_k: return read_blocks<read_q4_k>(format, blocks, values);
    case GgmlType::q5_k: return read_blocks<read_q5_k>(format, blocks, values);
    case GgmlType::q6_k: return read_blocks<read_q6_k>(format, blocks, values);
  }
}

/// 32 finite values to a block of Q8_0: d = max |x| / 127, q = x / d rounded half away from zero (quantize_row_q8_0_ref).
inline void write_q8_0(const float* values, std::byte* block) {
  float largest = 0;
  for (std::size_t i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(values[i]));
  const float step = largest / 127, inverse = step < std::numeric_limits<float>::min() ? 0 : 1 / step;  // 1 / a subnormal number may be infinite
  const half stored(step);
  std::memcpy(block, &stored, 2);
  for (std::size_t i = 0; i < 32; ++i) block[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(std::round(values[i] * inverse)));
}

}  // namespace terse::io::detail
