#pragma once
/// How vocab.json and merges.txt spell bytes: each of the 256 is one printable character.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace terse::text {

/// GPT-2's bijection between bytes and printable characters (openai/gpt-2, encoder.py, bytes_to_unicode): bytes 33-126,
/// 161-172 and 174-255 are the code point of the same number, the others are 256, 257, ... in order.
class ByteAlphabet {
 public:
  static constexpr int size = 256;

  constexpr ByteAlphabet() {
    int next = size;
    for (int byte = 0; byte < size; ++byte) {
      const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      const int code_point = itself ? byte : next++;
      code_points_[static_cast<std::size_t>(byte)] = static_cast<std::uint16_t>(code_point);
      bytes_[static_cast<std::size_t>(code_point)] = static_cast<std::int16_t>(byte);
    }
    // The order of the code points is the order of GPT-2's first 256 ids.
    std::size_t id = 0;
    for (const std::int16_t byte : bytes_) {
      if (byte >= 0) by_id_[id++] = static_cast<unsigned char>(byte);
    }
  }

  /// The byte of GPT-2's id 0 to 255, by the order of their characters.
  constexpr unsigned char byte_of_id(int id) const { return by_id_[static_cast<std::size_t>(id)]; }

  /// Bytes as the files spell them, in UTF-8.
  std::string spell(std::string_view bytes) const {
    std::string spelled;
    for (const char byte : bytes) {
      const unsigned code_point = code_points_[static_cast<unsigned char>(byte)];
      if (code_point < 0x80) {
        spelled += static_cast<char>(code_point);
      } else {
        spelled += static_cast<char>(0xC0 | (code_point >> 6));
        spelled += static_cast<char>(0x80 | (code_point & 0x3F));
      }
    }
    return spelled;
  }

  /// The bytes that `spelled` stands for; nothing where a character isn't of the alphabet.
  std::optional<std::string> unspell(std::string_view spelled) const {
    std::string bytes;
    for (std::size_t i = 0; i < spelled.size(); ++i) {
      unsigned code_point = static_cast<unsigned char>(spelled[i]);
      if (code_point >= 0x80) {
        if ((code_point & 0xE0) != 0xC0 || ++i == spelled.size()) return std::nullopt;
        const unsigned second = static_cast<unsigned char>(spelled[i]);
        if ((second & 0xC0) != 0x80) return std::nullopt;
        code_point = (code_point & 0x1F) << 6 | (second & 0x3F);
      }
      if (code_point >= bytes_.size() || bytes_[code_point] < 0) return std::nullopt;
      bytes += static_cast<char>(bytes_[code_point]);
    }
    return bytes;
  }

 private:
  static constexpr std::size_t code_point_bound = 256 + 68;  // 68 bytes don't stand for themselves
  static constexpr std::array<std::int16_t, code_point_bound> none() {
    std::array<std::int16_t, code_point_bound> all{};
    for (auto& byte : all) byte = -1;
    return all;
  }
  std::array<std::uint16_t, size> code_points_{};
  std::array<std::int16_t, code_point_bound> bytes_ = none();
  std::array<unsigned char, size> by_id_{};
};

/// The alphabet, ready to use.
inline constexpr ByteAlphabet byte_alphabet{};

}  // namespace terse::text
