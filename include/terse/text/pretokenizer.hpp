#pragma once
/// Cuts a text into the pieces inside which BPE merges.

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8  // pcre2.h asks for it; the functions below are named with their width
#endif
#include <pcre2.h>

#include <cstddef>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include <terse/core/error.hpp>
#include <terse/text/utf8.hpp>

namespace terse::text {

/// Whose pre-tokenizer cuts a text: a property of the tokenizer (BpeTables).
enum class PieceRule {
  gpt2,    ///< contractions, words, numbers and the rest with the one space before them, white space
  smollm,  ///< each digit alone; what is between digits as GPT-2's, each such text by itself
};

/// Cuts as GPT-2's or SmolLM's pre-tokenizer does.
///
///   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+          (openai/gpt-2, encoder.py)
///   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+     (Digits(individual_digits), then GPT-2's, in one)
///
/// Letters and numbers are those of PCRE2's Unicode (14 in 10.42); white space the 25 code points of White_Space.
/// Malformed UTF-8: a longest run of bytes that belong to no well-formed sequence is a piece of its own, and the text
/// before it ends there, as if it were the end of the whole text.
/// The pieces joined are always the text. Copies share the compiled pattern; all of it may be used by many threads.
class Pretokenizer {
 public:
  explicit Pretokenizer(PieceRule rule = PieceRule::gpt2);

  /// Calls visit(std::string_view) for each piece, in order. None is empty.
  template <class Visit>
  void for_each_piece(std::string_view text, Visit&& visit) const {
    const std::unique_ptr<pcre2_match_data_8, FreeMatch> match(pcre2_match_data_create_8(1, nullptr));
    if (!match) throw std::bad_alloc();
    while (!text.empty()) {
      std::string_view run = text.substr(0, utf8_prefix(text));
      text.remove_prefix(run.size());
      while (!run.empty()) {
        const std::string_view piece = run.substr(0, piece_length(run, match.get()));
        visit(piece);
        run.remove_prefix(piece.size());
      }
      if (const std::size_t malformed = malformed_prefix(text); malformed > 0) {
        visit(text.substr(0, malformed));
        text.remove_prefix(malformed);
      }
    }
  }

 private:
  struct FreeCode {
    void operator()(pcre2_code_8* code) const { pcre2_code_free_8(code); }
  };
  struct FreeMatch {
    void operator()(pcre2_match_data_8* match) const { pcre2_match_data_free_8(match); }
  };

  /// Length of the piece at the beginning of `text`, which is well-formed and not empty.
  std::size_t piece_length(std::string_view text, pcre2_match_data_8* match) const;

  std::shared_ptr<pcre2_code_8> code_;
  bool compiled_to_machine_code_;
};

inline Pretokenizer::Pretokenizer(PieceRule rule) {
  // \s of PCRE2 is ASCII alone, or with PCRE2_UCP has U+180E, which isn't White_Space.
  const std::string_view pattern = rule == PieceRule::gpt2
                                       ? R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^SPACE\p{L}\p{N}]+|[SPACE]+(?![^SPACE])|[SPACE]+)"
                                       : R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^SPACE\p{L}\p{N}]+|[SPACE]+(?![^SPACE\p{N}])|[SPACE]+)";
  constexpr std::string_view white_space =
      R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
  std::string written;
  for (std::size_t i = 0; i < pattern.size();) {
    const bool space = pattern.substr(i, 5) == "SPACE";
    written += space ? white_space : pattern.substr(i, 1);
    i += space ? 5 : 1;
  }
  int error = 0;
  std::size_t offset = 0;
  code_.reset(pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(written.data()), written.size(), PCRE2_UTF, &error, &offset,
                              nullptr),
              FreeCode{});
  if (!code_) fail(Failure::internal, "PCRE2 refuses the pre-tokenizer's pattern at ", offset, ", its error ", error);
  compiled_to_machine_code_ = pcre2_jit_compile_8(code_.get(), PCRE2_JIT_COMPLETE) == 0;
}

inline std::size_t Pretokenizer::piece_length(std::string_view text, pcre2_match_data_8* match) const {
  const auto subject = reinterpret_cast<PCRE2_SPTR8>(text.data());
  // for_each_piece has checked the UTF-8 once, so neither call needs to.
  const int matches =
      compiled_to_machine_code_
          ? pcre2_jit_match_8(code_.get(), subject, text.size(), 0, 0, match, nullptr)
          : pcre2_match_8(code_.get(), subject, text.size(), 0, PCRE2_NO_UTF_CHECK | PCRE2_ANCHORED, match, nullptr);
  const std::size_t* range = pcre2_get_ovector_pointer_8(match);
  if (matches < 0 || range[0] != 0 || range[1] == 0) fail(Failure::internal, "PCRE2 finds no piece, its error ", matches);
  return range[1];
}

}  // namespace terse::text
