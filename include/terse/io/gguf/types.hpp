#pragma once
/// How GGUF files hold numbers: the formats of tensors, and the kinds of metadata.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <terse/core/shape.hpp>

namespace terse::io {

static_assert(std::endian::native == std::endian::little, "terse: GGUF files are little-endian, and so must the machine be");

/// A tensor's format, by ggml's number for it. QN_0: blocks of 32 values with a scale of 16 bits; QN_1: and a minimum;
/// QN_K: blocks of 256 with scales of scales.
enum class GgmlType : std::uint32_t { f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8, q4_k = 12, q5_k = 13, q6_k = 14, bf16 = 30 };

/// What a file needs to say of a format.
struct GgmlFormat {
  GgmlType type;
  std::string_view name;
  Index block;        ///< values that are stored together; rows are whole blocks
  std::size_t bytes;  ///< of a block
};

/// All that are read. Sizes as in ggml-common.h.
inline constexpr std::array<GgmlFormat, 11> ggml_formats{{{GgmlType::f32, "F32", 1, 4},
                                                          {GgmlType::f16, "F16", 1, 2},
                                                          {GgmlType::q4_0, "Q4_0", 32, 18},
                                                          {GgmlType::q4_1, "Q4_1", 32, 20},
                                                          {GgmlType::q5_0, "Q5_0", 32, 22},
                                                          {GgmlType::q5_1, "Q5_1", 32, 24},
                                                          {GgmlType::q8_0, "Q8_0", 32, 34},
                                                          {GgmlType::q4_k, "Q4_K", 256, 144},
                                                          {GgmlType::q5_k, "Q5_K", 256, 176},
                                                          {GgmlType::q6_k, "Q6_K", 256, 210},
                                                          {GgmlType::bf16, "BF16", 1, 2}}};

/// The format of that number, or null where it isn't read.
constexpr const GgmlFormat* ggml_format(std::uint32_t number) {
  for (const GgmlFormat& format : ggml_formats)
    if (static_cast<std::uint32_t>(format.type) == number) return &format;
  return nullptr;
}
/// The same of a type, which always has one.
constexpr const GgmlFormat& format_of(GgmlType type) { return *ggml_format(static_cast<std::uint32_t>(type)); }

/// "F32, F16, …": for messages.
inline std::string ggml_formats_in_words() {
  std::string words;
  for (const GgmlFormat& format : ggml_formats) words += (words.empty() ? "" : ", ") + std::string(format.name);
  return words;
}

/// What a metadata value is, by GGUF's number for it.
enum class GgufKind : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, list, u64, i64, f64 };

/// Bytes of one value; 0 of a text or a list, which say their length themselves.
constexpr std::size_t bytes_of(GgufKind kind) {
  constexpr std::size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return sizes[static_cast<std::size_t>(kind)];
}

/// For messages.
constexpr std::string_view name_of(GgufKind kind) {
  constexpr std::string_view names[] = {"a whole number", "a whole number", "a whole number", "a whole number", "a whole number", "a whole number", "a number",
                                        "true or false",  "a text",         "a list",         "a whole number", "a whole number", "a number"};
  return names[static_cast<std::size_t>(kind)];
}

}  // namespace terse::io
