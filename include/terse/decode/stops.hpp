#pragma once
/// What ends a text besides its end-of-text and its length. A stop of one's own is a struct with `bool stops(const History&) const`, which is asked after each
/// new token; it goes into a strategy (strategy.hpp).

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <terse/decode/rules.hpp>
#include <terse/text/bpe.hpp>

namespace terse::decode {

/// One of these tokens has come.
struct StopTokens {
  std::vector<TokenId> ids;
  bool stops(const History& text) const { return std::ranges::find(ids, text.ids.back()) != ids.end(); }
};

/// One of these strings has come, whole, in the new text; the token that completes it may have more behind it.
struct StopStrings {
  std::vector<std::string> strings;
  const text::Bpe* tokenizer = nullptr;  ///< must outlive the strategy

  bool stops(const History& text) const {
    const auto last = tokenizer->bytes_of(text.ids.back()).size();
    return std::ranges::any_of(strings, [&](const std::string& string) {
      for (std::size_t behind = 0; behind < last; ++behind)
        if (ends_with(text.new_ids(), behind, string)) return true;
      return false;
    });
  }

 private:
  /// Whether the tokens' bytes, without the last `behind`, end with `string`.
  bool ends_with(std::span<const TokenId> ids, std::size_t behind, std::string_view string) const {
    for (; !ids.empty() && !string.empty(); ids = ids.first(ids.size() - 1)) {
      auto bytes = tokenizer->bytes_of(ids.back());
      const std::size_t dropped = std::min(behind, bytes.size());
      bytes.remove_suffix(dropped), behind -= dropped;
      const std::size_t common = std::min(bytes.size(), string.size());
      if (bytes.substr(bytes.size() - common) != string.substr(string.size() - common)) return false;
      string.remove_suffix(common);
    }
    return string.empty();
  }
};

}  // namespace terse::decode
