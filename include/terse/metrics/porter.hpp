#pragma once
/// The stemmer ROUGE matches words with: "summarized" and "summarizing" count as the same word.

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace terse::metrics {

namespace porter {

struct Rule {
  std::string_view suffix, replacement;
};

/// Words whose stem the rules would get wrong.
inline constexpr Rule irregular[] = {
    {"sky", "sky"},         {"skies", "sky"},     {"dying", "die"},      {"lying", "lie"},       {"tying", "tie"},
    {"news", "news"},       {"innings", "inning"}, {"inning", "inning"}, {"outings", "outing"},  {"outing", "outing"},
    {"cannings", "canning"}, {"canning", "canning"}, {"howe", "howe"},   {"proceed", "proceed"}, {"exceed", "exceed"},
    {"succeed", "succeed"}};

inline constexpr Rule plural_rules[] = {{"sses", "ss"}, {"ies", "i"}, {"ss", "ss"}, {"s", ""}};

inline constexpr Rule step2_rules[] = {
    {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},   {"izer", "ize"},    {"bli", "ble"},
    {"alli", "al"},     {"entli", "ent"},   {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
    {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"}, {"ousness", "ous"}, {"aliti", "al"},
    {"iviti", "ive"},   {"biliti", "ble"},  {"fulli", "ful"},   {"logi", "log"}};

inline constexpr Rule step3_rules[] = {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
                                       {"ical", "ic"},  {"ful", ""},   {"ness", ""}};

inline constexpr std::string_view step4_suffixes[] = {"al",   "ance", "ence", "er",  "ic", "able", "ible",
                                                      "ant",  "ement", "ment", "ent", "ion", "ou",  "ism",
                                                      "ate",  "iti",  "ous",  "ive", "ize"};

/// Whether the letter after one that `previous_is_consonant` is a consonant. y is one after a vowel ("toy") and not after
/// a consonant ("happy"); a word's first letter counts as after a vowel.
constexpr bool is_consonant(char letter, bool previous_is_consonant) {
  switch (letter) {
    case 'a': case 'e': case 'i': case 'o': case 'u': return false;
    case 'y': return !previous_is_consonant;
    default: return true;
  }
}

/// What the rules ask about a stem.
struct Shape {
  int measure = 0;            ///< m of [C](VC)^m[V]: how often a vowel is followed by a consonant
  bool has_vowel = false;
  bool consonants[3] = {};    ///< of the last three letters, the last one at [2]
  bool ends_in_consonant() const { return consonants[2]; }
};

inline Shape shape(std::string_view word) {
  Shape s;
  bool previous = false;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const bool consonant = is_consonant(word[i], previous);
    s.has_vowel |= !consonant;
    s.measure += i > 0 && consonant && !previous;
    s.consonants[0] = s.consonants[1], s.consonants[1] = s.consonants[2], s.consonants[2] = consonant;
    previous = consonant;
  }
  return s;
}

inline int measure(std::string_view word) { return shape(word).measure; }

/// Porter's *o: ends consonant, vowel, consonant other than w, x, y ("hop"); or is vowel, consonant ("at").
inline bool ends_short(std::string_view word) {
  const Shape s = shape(word);
  if (word.size() == 2) return !s.consonants[1] && s.consonants[2];
  const char last = word.empty() ? 'w' : word.back();
  return word.size() >= 3 && s.consonants[0] && !s.consonants[1] && s.consonants[2] && last != 'w' && last != 'x' && last != 'y';
}

/// Replaces the first suffix of `rules` that `word` ends with, if what remains has a larger measure than `above`.
inline void replace_suffix(std::string& word, std::span<const Rule> rules, int above) {
  for (const auto [suffix, replacement] : rules) {
    if (!std::string_view(word).ends_with(suffix)) continue;
    const std::size_t stem = word.size() - suffix.size();
    // The l of "logi" counts as the stem's, so that "geologi" is treated like "archaeologi".
    const std::size_t measured = suffix == "logi" ? stem + 1 : stem;
    if (measure(std::string_view(word).substr(0, measured)) > above) word.replace(stem, suffix.size(), replacement);
    return;
  }
}

/// Step 1a: plurals. caresses -> caress, ponies -> poni, ties -> tie, cats -> cat.
inline void plural(std::string& word) {
  if (word.size() == 4 && word.ends_with("ies"))
    word.pop_back();
  else
    replace_suffix(word, plural_rules, -1);
}

/// The end of step 1b: what a word needs after -ed or -ing was cut off. conflat -> conflate, hopp -> hop, fil -> file.
inline void mend(std::string& word) {
  const std::size_t size = word.size();
  const char last = word.back();
  const bool doubled = size >= 2 && word[size - 2] == last && shape(word).ends_in_consonant();
  if (word.ends_with("at") || word.ends_with("bl") || word.ends_with("iz")) {
    word += 'e';
  } else if (doubled) {
    if (last != 'l' && last != 's' && last != 'z') word.pop_back();
  } else if (measure(word) == 1 && ends_short(word)) {
    word += 'e';
  }
}

/// Step 1b: agreed -> agree, plastered -> plaster, motoring -> motor, died -> die, spied -> spi.
inline void past(std::string& word) {
  const std::string_view view = word;
  if (view.ends_with("ied")) {
    word.erase(word.size() - (word.size() == 4 ? 1 : 2));
    return;
  }
  if (view.ends_with("eed")) {
    if (measure(view.substr(0, view.size() - 3)) > 0) word.pop_back();
    return;
  }
  for (const std::size_t suffix : {view.ends_with("ed") ? 2u : 0u, view.ends_with("ing") ? 3u : 0u}) {
    if (suffix == 0 || !shape(view.substr(0, view.size() - suffix)).has_vowel) continue;
    word.erase(word.size() - suffix);
    return mend(word);
  }
}

/// Step 1c: happy -> happi, but enjoy and by stay.
inline void final_y(std::string& word) {
  if (word.size() > 2 && word.back() == 'y' && shape(std::string_view(word).substr(0, word.size() - 1)).ends_in_consonant())
    word.back() = 'i';
}

/// Step 2: relational -> relate. -alli -> -al comes first, so that what it leaves meets the other rules.
inline void step2(std::string& word) {
  if (word.ends_with("alli") && measure(std::string_view(word).substr(0, word.size() - 4)) > 0) word.erase(word.size() - 2);
  replace_suffix(word, step2_rules, 0);
}

/// Step 4: revival -> reviv, adoption -> adopt (-ion only after s or t).
inline void step4(std::string& word) {
  for (const std::string_view suffix : step4_suffixes) {
    if (!std::string_view(word).ends_with(suffix)) continue;
    const std::string_view stem = std::string_view(word).substr(0, word.size() - suffix.size());
    if (measure(stem) > 1 && (suffix != "ion" || stem.back() == 's' || stem.back() == 't')) word.resize(stem.size());
    return;
  }
}

/// Step 5: probate -> probat, cease -> ceas, controll -> control.
inline void tidy(std::string& word) {
  if (word.ends_with("e")) {
    const std::string_view stem = std::string_view(word).substr(0, word.size() - 1);
    const int m = measure(stem);
    if (m > 1 || (m == 1 && !ends_short(stem))) word.pop_back();
  }
  if (word.ends_with("ll") && measure(std::string_view(word).substr(0, word.size() - 1)) > 1) word.pop_back();
}

}  // namespace porter

/// The stem of a word of [a-z0-9]: Porter, "An algorithm for suffix stripping", Program 14.3 (1980), with the extensions
/// of NLTK's default mode (NLTK 3.10, nltk/stem/porter.py), which rouge_score uses. Words of one or two letters stay.
inline std::string porter_stem(std::string word) {
  for (const auto [form, stem] : porter::irregular)
    if (word == form) return std::string(stem);
  if (word.size() <= 2) return word;
  porter::plural(word);
  porter::past(word);
  porter::final_y(word);
  porter::step2(word);
  porter::replace_suffix(word, porter::step3_rules, 0);
  porter::step4(word);
  porter::tidy(word);
  return word;
}

}  // namespace terse::metrics
