#pragma once
/// Which bytes of a text are well-formed UTF-8.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace terse::text {

/// Bytes of the well-formed sequence (1 to 4) that `text` begins with; 0 where it begins with none.
/// Source: The Unicode Standard 14, table 3-7: no surrogates, no overlong forms, nothing above U+10FFFF.
inline std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto continues = [byte](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  const unsigned first = byte(0), second = byte(1);
  if (text.empty()) return 0;
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4 || !continues(1)) return 0;
  if (first < 0xE0) return 2;
  if (first < 0xF0) {
    const bool overlong = first == 0xE0 && second < 0xA0, surrogate = first == 0xED && second > 0x9F;
    return !overlong && !surrogate && continues(2) ? 3 : 0;
  }
  const bool overlong = first == 0xF0 && second < 0x90, too_large = first == 0xF4 && second > 0x8F;
  return !overlong && !too_large && continues(2) && continues(3) ? 4 : 0;
}

/// Length of the longest well-formed beginning of `text`.
inline std::size_t utf8_prefix(std::string_view text) {
  std::size_t position = 0;
  while (position < text.size()) {
    std::uint64_t eight;
    while (position + sizeof eight <= text.size()) {
      std::memcpy(&eight, text.data() + position, sizeof eight);
      if (eight & 0x8080808080808080u) break;
      position += sizeof eight;
    }
    const std::size_t length = utf8_sequence(text.substr(position));
    if (length == 0) break;
    position += length;
  }
  return position;
}

/// Length of the longest beginning of `text` in which no well-formed sequence begins.
inline std::size_t malformed_prefix(std::string_view text) {
  std::size_t position = 0;
  while (position < text.size() && utf8_sequence(text.substr(position)) == 0) ++position;
  return position;
}

/// Bytes at the beginning of `text`, which is malformed there, that one U+FFFD stands for: as much of a well-formed sequence as there
/// is before it breaks off, else one byte (Unicode 14, section 3.9, maximal subparts).
inline std::size_t malformed_part(std::string_view text) {
  for (std::size_t length = std::min<std::size_t>(3, text.size()); length > 1; --length)
    for (const char* const rest : {"\x80\x80\x80", "\xBF\xBF\xBF"})  // every first half has one of these for its other half
      if (utf8_sequence(std::string(text.substr(0, length)) + rest) > length) return length;
  return 1;
}

/// `text` with U+FFFD for what is malformed in it, as Python's decode(errors="replace").
inline std::string replace_malformed(std::string_view text) {
  std::string result;
  while (true) {
    const std::size_t good = utf8_prefix(text);
    result += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) return result;
    result += "\xEF\xBF\xBD";
    text.remove_prefix(malformed_part(text));
  }
}

}  // namespace terse::text
