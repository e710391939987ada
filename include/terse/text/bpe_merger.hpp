#pragma once
/// Merges the bytes of one piece into tokens.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <queue>
#include <string_view>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/text/bpe_tables.hpp>

namespace terse::text {

/// Byte pair encoding (Sennrich, Haddow, Birch 2016, arXiv:1508.07909) of a piece: starting from its bytes, the neighbours
/// with the lowest merge become one, the leftmost of equals first, until no two neighbours have a merge.
class BpeMerger {
 public:
  explicit BpeMerger(const BpeTables& tables);

  /// Appends the tokens of `piece`, in which bytes that have no token are passed over. Time O(n^2) for n <= short_piece bytes, O(n log n) for more.
  void merge(std::string_view piece, std::vector<TokenId>& ids) const {
    piece.size() <= short_piece ? merge_short(piece, ids) : merge_long(piece, ids);
  }

 private:
  /// A merge as one number, rank above result, so that the least is the one to do next.
  using Merge = std::uint64_t;
  static constexpr Merge no_merge = std::numeric_limits<Merge>::max();
  static constexpr std::size_t short_piece = 64;
  static TokenId result(Merge merge) { return static_cast<TokenId>(static_cast<std::uint32_t>(merge)); }
  static std::uint64_t rank(Merge merge) { return merge >> 32; }

  /// A slot of an open-addressing table that is at most half full.
  struct Slot {
    std::uint64_t pair = no_pair;
    Merge merge = no_merge;
  };
  static constexpr std::uint64_t no_pair = std::numeric_limits<std::uint64_t>::max();
  static std::uint64_t pair(TokenId left, TokenId right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }
  std::size_t first_slot(std::uint64_t pair) const {
    return static_cast<std::size_t>((pair * 0x9E3779B97F4A7C15u) >> shift_);  // Fibonacci hashing, Knuth vol. 3, 6.4
  }
  Merge find(TokenId left, TokenId right) const {
    const std::uint64_t wanted = pair(left, right);
    std::size_t slot = first_slot(wanted);
    while (slots_[slot].pair != wanted && slots_[slot].pair != no_pair) slot = (slot + 1) & (slots_.size() - 1);
    return slots_[slot].merge;
  }

  void merge_short(std::string_view piece, std::vector<TokenId>& ids) const;
  void merge_long(std::string_view piece, std::vector<TokenId>& ids) const;
  TokenId byte_id(char byte) const { return byte_ids_[static_cast<unsigned char>(byte)]; }

  std::array<TokenId, 256> byte_ids_{};  ///< -1: none
  std::vector<Slot> slots_;
  int shift_ = 0;
};

inline BpeMerger::BpeMerger(const BpeTables& tables) {
  byte_ids_.fill(-1);
  for (std::size_t id = 0; id < tables.tokens.size(); ++id) {
    const std::string& token = tables.tokens[id];
    if (token.size() == 1) byte_ids_[static_cast<unsigned char>(token[0])] = static_cast<TokenId>(id);
  }
  slots_.resize(std::bit_ceil(2 * tables.merges.size() + 2));
  shift_ = 64 - std::countr_zero(slots_.size());
  for (std::size_t rank = 0; rank < tables.merges.size(); ++rank) {
    const BpeMerge& merge = tables.merges[rank];
    const std::uint64_t key = pair(merge.left, merge.right);
    std::size_t slot = first_slot(key);
    while (slots_[slot].pair != no_pair) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = {key, std::uint64_t{rank} << 32 | static_cast<std::uint32_t>(merge.result)};
  }
}

inline void BpeMerger::merge_short(std::string_view piece, std::vector<TokenId>& ids) const {
  std::array<TokenId, short_piece> parts;
  std::array<Merge, short_piece> merges;  // merges[i] is that of parts i and i+1
  std::size_t count = 0;
  for (const char byte : piece) parts[count] = byte_id(byte), count += parts[count] >= 0;
  for (std::size_t i = 0; i + 1 < count; ++i) merges[i] = find(parts[i], parts[i + 1]);
  while (count > 1) {
    const auto next = std::min_element(merges.begin(), merges.begin() + static_cast<std::ptrdiff_t>(count - 1));
    if (*next == no_merge) break;
    const auto i = static_cast<std::size_t>(next - merges.begin());
    parts[i] = result(*next);
    --count;
    std::copy(parts.begin() + i + 2, parts.begin() + count + 1, parts.begin() + i + 1);
    std::copy(merges.begin() + i + 1, merges.begin() + count, merges.begin() + i);
    if (i > 0) merges[i - 1] = find(parts[i - 1], parts[i]);
    if (i + 1 < count) merges[i] = find(parts[i], parts[i + 1]);
  }
  ids.insert(ids.end(), parts.begin(), parts.begin() + count);
}

inline void BpeMerger::merge_long(std::string_view piece, std::vector<TokenId>& ids) const {
  constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
  if (piece.size() >= none) fail(Failure::bad_input, "a word of ", piece.size(), " bytes is too long; 4 GiB is the most");
  std::vector<TokenId> bytes;
  bytes.reserve(piece.size());
  for (const char byte : piece)
    if (byte_id(byte) >= 0) bytes.push_back(byte_id(byte));
  const auto size = static_cast<std::uint32_t>(bytes.size());
  if (size == 0) return;
  struct Part {  // of a doubly linked list; `id` is -1 once the part has gone into the one before it
    TokenId id;
    std::uint32_t previous, next;
  };
  std::vector<Part> parts(size);
  for (std::uint32_t i = 0; i < size; ++i) parts[i] = {bytes[i], i == 0 ? none : i - 1, i + 1 == size ? none : i + 1};

  // Rank above position: the lowest merge comes first, the leftmost of equals before the others.
  std::vector<std::uint64_t> candidates;
  const auto merge_at = [&](std::uint32_t at) {
    return parts[at].id < 0 || parts[at].next == none ? no_merge : find(parts[at].id, parts[parts[at].next].id);
  };
  for (std::uint32_t i = 0; i + 1 < size; ++i) {
    if (const Merge merge = merge_at(i); merge != no_merge) candidates.push_back(rank(merge) << 32 | i);
  }
  std::priority_queue queue(std::greater<>{}, std::move(candidates));
  const auto consider = [&](std::uint32_t at) {
    if (const Merge merge = merge_at(at); merge != no_merge) queue.push(rank(merge) << 32 | at);
  };
  while (!queue.empty()) {
    const std::uint64_t candidate = queue.top();
    queue.pop();
    const auto at = static_cast<std::uint32_t>(candidate);
    const Merge merge = merge_at(at);
    if (merge == no_merge || rank(merge) != candidate >> 32) continue;  // a neighbour has changed since
    Part& part = parts[at];
    Part& gone = parts[part.next];
    part.id = result(merge);
    part.next = gone.next;
    gone.id = -1;
    if (part.next != none) parts[part.next].previous = at;
    if (part.previous != none) consider(part.previous);
    consider(at);
  }
  for (std::uint32_t i = 0; i != none; i = parts[i].next) ids.push_back(parts[i].id);
}

}  // namespace terse::text
