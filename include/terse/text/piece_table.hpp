#pragma once
/// Finds the token that is a whole piece.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <terse/core/packed_batch.hpp>

namespace terse::text {

/// Tokens by their bytes: an open-addressing table, at most half full, four slots a cache line. Up to 11 bytes stand in the slot itself, so
/// that most words cost one look at memory; of longer ones the hash does, and the bytes are compared where `tokens` has them.
class PieceTable {
 public:
  /// For at most `count` tokens.
  explicit PieceTable(std::size_t count) : slots_(std::bit_ceil(2 * count + 2)), shift_(64 - std::countr_zero(slots_.size())) {}

  /// Adds a token that isn't there yet.
  void add(std::string_view token, TokenId id) {
    Slot added = key_of(token, token.size());
    added.id = id;
    std::size_t slot = first_slot(added);
    while (slots_[slot].id >= 0) slot = next(slot);
    slots_[slot] = added;
  }

  /// The token that is `piece`, or -1. `readable`: bytes that may be read from the piece's beginning on, at least its own.
  TokenId find(std::string_view piece, std::size_t readable, const std::vector<std::string>& tokens) const {
    const Slot wanted = key_of(piece, readable);
    for (std::size_t slot = first_slot(wanted);; slot = next(slot)) {
      const Slot& found = slots_[slot];
      if (found.id < 0) return -1;
      if (found.low == wanted.low && found.high == wanted.high && (piece.size() <= most_inside || tokens[static_cast<std::size_t>(found.id)] == piece)) return found.id;
    }
  }

 private:
  static constexpr std::size_t most_inside = 11;

  struct Slot {
    std::uint64_t low = 0;   ///< bytes 0 to 7, or the hash
    std::uint32_t high = 0;  ///< bytes 8 to 10, and the length above them
    TokenId id = -1;
  };

  static Slot key_of(std::string_view piece, std::size_t readable) {
    const std::size_t size = piece.size();
    if (size > most_inside) return {std::hash<std::string_view>{}(piece), ~std::uint32_t{0}, -1};
    std::array<char, 12> copy{};
    const char* bytes = piece.data();
    if (readable < copy.size()) bytes = static_cast<const char*>(std::memcpy(copy.data(), bytes, size));
    Slot key;
    std::memcpy(&key.low, bytes, sizeof key.low);
    std::memcpy(&key.high, bytes + sizeof key.low, sizeof key.high);
    key.low &= size >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << 8 * size) - 1;
    key.high &= size <= 8 ? 0 : (std::uint32_t{1} << 8 * (size - 8)) - 1;
    key.high |= static_cast<std::uint32_t>(size) << 24;
    return key;
  }
  std::size_t first_slot(const Slot& key) const {  // Fibonacci hashing, Knuth vol. 3, 6.4
    return static_cast<std::size_t>(((key.low ^ key.high * 0xD6E8FEB86659FD93u) * 0x9E3779B97F4A7C15u) >> shift_);
  }
  std::size_t next(std::size_t slot) const { return (slot + 1) & (slots_.size() - 1); }

  std::vector<Slot> slots_;
  int shift_;
};

}  // namespace terse::text
