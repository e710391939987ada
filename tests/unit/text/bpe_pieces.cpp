#include "support/catch.hpp"
#include "terse/text/byte_alphabet.hpp"
#include "terse/text/pretokenizer.hpp"
#include "terse/text/utf8.hpp"

#include <set>
#include <string>
#include <vector>

using namespace terse::text;

namespace {

using Pieces = std::vector<std::string>;

Pieces cut(std::string_view text, PieceRule rule = PieceRule::gpt2) {
  Pieces pieces;
  Pretokenizer(rule).for_each_piece(text, [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

}  // namespace

TEST_CASE("the byte alphabet is GPT-2's, and a bijection") {
  CHECK(byte_alphabet.spell("A b\n") == "A\u0120b\u010A");
  CHECK(byte_alphabet.spell(std::string_view("\0\xAD\xFF", 3)) == "\u0100\u0143\u00FF");
  std::set<std::string> spellings;
  std::set<int> bytes_by_id;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string alone(1, static_cast<char>(byte));
    spellings.insert(byte_alphabet.spell(alone));
    CHECK(byte_alphabet.unspell(byte_alphabet.spell(alone)) == alone);
    bytes_by_id.insert(byte_alphabet.byte_of_id(byte));
  }
  CHECK(spellings.size() == 256);
  CHECK(bytes_by_id.size() == 256);
  CHECK(byte_alphabet.byte_of_id(0) == '!');
  CHECK(byte_alphabet.byte_of_id(188) == 0);
  CHECK(byte_alphabet.byte_of_id(220) == ' ');
  CHECK(byte_alphabet.byte_of_id(255) == 0xAD);
  for (const char* outside : {" ", "a b", "\n", "\u0144", "\u20AC", "\x80", "\xC4", "a\xC4"}) {
    CHECK_FALSE(byte_alphabet.unspell(outside).has_value());
  }
}

TEST_CASE("well-formed UTF-8 is told from malformed, as Unicode's table 3-7 has it") {
  for (const char* good : {"a", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80",
                           "\xF4\x8F\xBF\xBF"}) {
    CHECK(utf8_sequence(good) == std::string_view(good).size());
    CHECK(utf8_sequence(std::string(good) + "\x80") == std::string_view(good).size());
    CHECK(utf8_prefix(std::string(7, 'x') + good + "12345678\xFF") == 15 + std::string_view(good).size());
  }
  CHECK(utf8_sequence(std::string_view("\0", 1)) == 1);
  CHECK(utf8_sequence("") == 0);
  for (const char* bad : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xE2\x82", "\xE2\x82\x41", "\xED\xA0\x80",
                          "\xF0\x8F\xBF\xBF", "\xF0\x90\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"}) {
    CHECK(utf8_sequence(bad) == 0);
    CHECK(utf8_prefix(bad) == 0);
  }
  CHECK(malformed_prefix("\xFF\xE2\x82z") == 3);
  CHECK(malformed_prefix("z\xFF") == 0);
}

TEST_CASE("texts are cut as GPT-2's pattern cuts them") {
  CHECK(cut("") == Pieces{});
  CHECK(cut("I'm sure they'll say it's 25% o'clock.") ==
        Pieces{"I", "'m", " sure", " they", "'ll", " say", " it", "'s", " 25", "%", " o", "'", "clock", "."});
  CHECK(cut("I'M") == Pieces{"I", "'", "M"});
  CHECK(cut("a  b") == Pieces{"a", " ", " b"});
  CHECK(cut("a \n b\t") == Pieces{"a", " \n", " b", "\t"});
  CHECK(cut("a\n\nb") == Pieces{"a", "\n", "\n", "b"});
  CHECK(cut("a   ") == Pieces{"a", "   "});
  CHECK(cut("\u00E9t\u00E9 \u0663\u0664 \u4F60\u597D\uFF01") == Pieces{"\u00E9t\u00E9", " \u0663\u0664", " \u4F60\u597D", "\uFF01"});
}

TEST_CASE("white space is Unicode's: U+3000 is, U+180E and U+200B aren't") {
  CHECK(cut("a\u3000\u3000b") == Pieces{"a", "\u3000", "\u3000", "b"});
  CHECK(cut("a\u0085\u00A0") == Pieces{"a", "\u0085\u00A0"});
  CHECK(cut("a\u180E\u180Eb") == Pieces{"a", "\u180E\u180E", "b"});
  CHECK(cut("a \u200Bb") == Pieces{"a", " \u200B", "b"});
}

TEST_CASE("a run of malformed UTF-8 is a piece, and ends the text before it") {
  CHECK(cut("\xFF") == Pieces{"\xFF"});
  CHECK(cut("ab\xFF\xFE" "cd") == Pieces{"ab", "\xFF\xFE", "cd"});
  CHECK(cut("a  \xFF b") == Pieces{"a", "  ", "\xFF", " b"});
  CHECK(cut("\xE2\x82") == Pieces{"\xE2\x82"});
  CHECK(cut("\xED\xA0\x80x") == Pieces{"\xED\xA0\x80", "x"});
}

TEST_CASE("a million of the same character is cut, whichever it is") {
  for (const std::string unit : {"a", " ", "\n", "7", "!", "\u00E9", "\u3000", "\xFF", "\U0001F602"}) {
    std::string text;
    while (text.size() < 1000000) text += unit;
    CHECK(cut(text) == Pieces{text});
  }
}

TEST_CASE("SmolLM's rule: each digit alone, and what is before one ends there") {
  const auto smollm = [](std::string_view text) { return cut(text, PieceRule::smollm); };
  CHECK(smollm("") == Pieces{});
  CHECK(smollm("1234") == Pieces{"1", "2", "3", "4"});
  CHECK(smollm(" 25%") == Pieces{" ", "2", "5", "%"});
  CHECK(smollm("a  1") == Pieces{"a", "  ", "1"});
  CHECK(cut("a  1") == Pieces{"a", " ", " 1"});
  CHECK(smollm("a  b \n 1's") == Pieces{"a", " ", " b", " \n ", "1", "'s"});
  CHECK(smollm("x\u00B2\u2167 \u0663") == Pieces{"x", "\u00B2", "\u2167", " ", "\u0663"});
  CHECK(smollm("\xFF" "1\xFF") == Pieces{"\xFF", "1", "\xFF"});
}
