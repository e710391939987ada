#pragma once
/// Decoding strategies as types that compose: what a wrong order or an impossible mix is, the compiler says.
///
///   Greedy{NoRepeatNgram{3}, MaxNew{60}}
///   Sample{RepetitionPenalty{1.2f}, Temperature{0.7f}, TopK{50}, TopP{0.9f}, Seed{42}}
///   BestOf{Samples{4}, Temperature{1.0f}, MaxNew{60}}
///   Beam{Beams{.count = 4, .length_penalty = 0.6f}, NoRepeatNgram{3}, MinNew{11}}
///   Contrastive{NoRepeatNgram{3}, TopK{4}, Penalty{0.6f}, MaxNew{60}}
///
/// Each is a constexpr-sized aggregate that becomes a decode::Strategy (strategy.hpp), which names all values. A part of one's own is a struct with
/// `void edit(const History&, Edits&) const` (a rule) or `bool stops(const History&) const` (a stop).

#include <concepts>
#include <tuple>
#include <type_traits>
#include <utility>

#include <terse/decode/stops.hpp>
#include <terse/decode/strategy.hpp>

namespace terse::decode {

/// Below 1, likely tokens become likelier.
struct Temperature { float value = 1; };
/// Only the k likeliest tokens.
struct TopK { int k = 50; };
/// Only the likeliest tokens that together reach this probability.
struct TopP { float probability = 1; };
/// Only tokens at least so likely as a share of the likeliest one (Nguyen et al. 2024, arXiv:2407.01082).
struct MinP { float share = 0; };
/// The tokens whose surprise is nearest the expected one, up to this probability (Meister et al. 2022, arXiv:2202.00666).
struct Typical { float probability = 1; };
/// What a token loses for being like one before it, as a share: its score is (1 - alpha) * probability - alpha * likeness. Of contrastive search.
struct Penalty { float alpha = 0.6f; };
/// New tokens of a text, its end-of-text among them.
struct MaxNew { int count = 100; };
/// Of the random numbers.
struct Seed { std::uint64_t value = 42; };
/// Guesses of so many tokens at a time, looked up in the text itself: the same text, sooner where it copies.
struct Draft { int tokens = 4; };

/// Of a beam search; `groups` and `diversity` make it a diverse one.
struct Beams {
  int count = 4;
  float length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::no;
  int returned = 1, groups = 1;
  float diversity = 0;
};
/// Texts drawn for each prompt, the best of which are given back.
struct Samples {
  int count = 4, returned = 1;
  float length_penalty = 1;
};

template <class Part>
concept OwnRule = requires(const Part& part, const History& text, Edits& edits) { part.edit(text, edits); };
template <class Part>
concept OwnStop = requires(const Part& part, const History& text) { { part.stops(text) } -> std::convertible_to<bool>; };

/// Where a part acts: parts stand in this order.
enum class Place { none, search, repetition_penalty, no_repeat_ngram, bad_words, min_new, forced, own_rule, temperature, top_k, top_p, min_p, typical, penalty, stop };

template <class Part> inline constexpr Place place_of = OwnRule<Part> ? Place::own_rule : OwnStop<Part> ? Place::stop : Place::none;
template <> inline constexpr Place place_of<Beams> = Place::search;
template <> inline constexpr Place place_of<Samples> = Place::search;
template <> inline constexpr Place place_of<RepetitionPenalty> = Place::repetition_penalty;
template <> inline constexpr Place place_of<NoRepeatNgram> = Place::no_repeat_ngram;
template <> inline constexpr Place place_of<BadWords> = Place::bad_words;
template <> inline constexpr Place place_of<MinNew> = Place::min_new;
template <> inline constexpr Place place_of<ForcedTokens> = Place::forced;
template <> inline constexpr Place place_of<Temperature> = Place::temperature;
template <> inline constexpr Place place_of<TopK> = Place::top_k;
template <> inline constexpr Place place_of<TopP> = Place::top_p;
template <> inline constexpr Place place_of<MinP> = Place::min_p;
template <> inline constexpr Place place_of<Typical> = Place::typical;
template <> inline constexpr Place place_of<Penalty> = Place::penalty;
template <> inline constexpr Place place_of<MaxNew> = Place::stop;
template <> inline constexpr Place place_of<Seed> = Place::stop;
template <> inline constexpr Place place_of<Draft> = Place::stop;

/// Each part into its fields.
inline void join(Strategy& s, Temperature part) { s.temperature = part.value; }
inline void join(Strategy& s, TopK part) { s.top_k = part.k; }
inline void join(Strategy& s, TopP part) { s.top_p = part.probability; }
inline void join(Strategy& s, MinP part) { s.min_p = part.share; }
inline void join(Strategy& s, Typical part) { s.typical = part.probability; }
inline void join(Strategy& s, Penalty part) { s.penalty_alpha = part.alpha; }
inline void join(Strategy& s, MaxNew part) { s.max_new = part.count; }
inline void join(Strategy& s, Seed part) { s.seed = part.value; }
inline void join(Strategy& s, Draft part) { s.draft = part.tokens; }
inline void join(Strategy& s, RepetitionPenalty part) { s.repetition_penalty = part; }
inline void join(Strategy& s, NoRepeatNgram part) { s.no_repeat_ngram = part; }
inline void join(Strategy& s, BadWords part) { s.bad_words = std::move(part); }
inline void join(Strategy& s, MinNew part) { s.min_new = part; }
inline void join(Strategy& s, ForcedTokens part) { s.forced = std::move(part); }
inline void join(Strategy& s, Samples part) { s.samples = part.count, s.returned = part.returned, s.length_penalty = part.length_penalty; }
inline void join(Strategy& s, Beams part) {
  s.beams = part.count, s.length_penalty = part.length_penalty, s.early_stopping = part.early_stopping, s.returned = part.returned;
  s.beam_groups = part.groups, s.diversity = part.diversity;
}
template <OwnRule Part>
void join(Strategy& s, const Part& part) { s.own_rules.push_back([part](const History& text, Edits& edits) { part.edit(text, edits); }); }
template <OwnStop Part>
void join(Strategy& s, const Part& part) { s.stops.push_back([part](const History& text) { return part.stops(text); }); }

namespace detail {

template <class... Parts>
constexpr bool stand_in_order() {
  constexpr Place places[] = {Place::search, place_of<Parts>...};
  for (std::size_t i = 1; i <= sizeof...(Parts); ++i)
    if (places[i] < places[i - 1] || (places[i] == places[i - 1] && places[i] != Place::own_rule && places[i] != Place::stop && places[i] != Place::search)) return false;
  return true;
}
/// Settings, that is; there may be several rules and stops of one's own.
template <class Part, class... Parts>
constexpr bool stands_once = OwnRule<Part> || OwnStop<Part> || (int{std::is_same_v<Part, Parts>} + ...) == 1;
constexpr bool filters(Place place) { return place >= Place::temperature && place <= Place::typical; }

/// What all strategies ask of their parts.
template <class... Parts>
struct CheckedParts {
  static constexpr bool known = ((place_of<Parts> != Place::none) && ...), in_order = !known || (stand_in_order<Parts...>() && (stands_once<Parts, Parts...> && ...));
  static_assert(known, "terse: a part of a decoding strategy is one of terse::decode's, or has edit(const History&, Edits&) const or stops(const History&) const");
  static_assert(in_order, "terse: the parts of a decoding strategy stand in the order they act in, each once: RepetitionPenalty, NoRepeatNgram, BadWords, MinNew, ForcedTokens, "
                          "rules of your own, Temperature, TopK, TopP, MinP, Typical, Penalty, then stops, MaxNew, Seed and Draft in any order");
  static constexpr bool has_filters = (filters(place_of<Parts>) || ...), has_search = ((place_of<Parts> == Place::search) || ...),
                        has_draft = (std::is_same_v<Parts, Draft> || ...), has_top_k = (std::is_same_v<Parts, TopK> || ...), has_penalty = (std::is_same_v<Parts, Penalty> || ...);
  /// Filters of what is drawn from, that is: TopK says among how many tokens a Penalty chooses, too.
  static constexpr bool has_drawing = ((filters(place_of<Parts>) && !std::is_same_v<Parts, TopK>) || ...);
};

template <class... Parts>
void join_all(Strategy& strategy, const std::tuple<Parts...>& parts) {
  if constexpr (CheckedParts<Parts...>::known) std::apply([&](const auto&... part) { (join(strategy, part), ...); }, parts);  // else all has been said
}

}  // namespace detail

/// The likeliest token, always.
template <class... Parts>
class Greedy {
  using Checked = detail::CheckedParts<Parts...>;
  static_assert(!Checked::has_filters, "terse: Greedy takes the likeliest token: Temperature, TopK, TopP, MinP and Typical don't change it; use Sample, or leave them out");
  static_assert(!Checked::has_search, "terse: Greedy writes one text: for Beams use Beam, for Samples use BestOf");
  static_assert(!Checked::has_penalty, "terse: Penalty is a part of Contrastive alone; use that, or leave it out");

 public:
  explicit Greedy(Parts... parts) : parts_(std::move(parts)...) {}
  operator Strategy() const {
    Strategy strategy{.greedy = true};
    detail::join_all(strategy, parts_);
    return strategy;
  }

 private:
  std::tuple<Parts...> parts_;
};

/// A random token, of what the parts leave.
template <class... Parts>
class Sample {
  using Checked = detail::CheckedParts<Parts...>;
  static_assert(!Checked::has_search, "terse: Sample writes one text: for Beams use Beam, for Samples use BestOf");
  static_assert(!Checked::has_penalty, "terse: Penalty is a part of Contrastive alone; use that, or leave it out");

 public:
  explicit Sample(Parts... parts) : parts_(std::move(parts)...) {}
  operator Strategy() const {
    Strategy strategy{.temperature = 1, .top_k = 0};
    detail::join_all(strategy, parts_);
    return strategy;
  }

 private:
  std::tuple<Parts...> parts_;
};

/// The best of several texts that are drawn.
template <class... Parts>
class BestOf {
  using Checked = detail::CheckedParts<Parts...>;
  static_assert(!Checked::has_search, "terse: BestOf draws its Samples, named once and first: for Beams use Beam");
  static_assert(!Checked::has_draft, "terse: BestOf writes several texts at a time for a prompt: Draft guesses for one; use Sample or Greedy, or leave it out");
  static_assert(!Checked::has_penalty, "terse: Penalty is a part of Contrastive alone; use that, or leave it out");

 public:
  explicit BestOf(Samples samples, Parts... parts) : samples_(samples), parts_(std::move(parts)...) {}
  operator Strategy() const {
    Strategy strategy{.temperature = 1, .top_k = 0};
    detail::join_all(strategy, parts_);
    join(strategy, samples_);
    return strategy;
  }

 private:
  Samples samples_;
  std::tuple<Parts...> parts_;
};

/// The likeliest texts that so many beams find.
template <class... Parts>
class Beam {
  using Checked = detail::CheckedParts<Parts...>;
  static_assert(!Checked::has_filters, "terse: Beam looks at all tokens: Temperature, TopK, TopP, MinP and Typical are for random ones; use Sample or BestOf, or leave them out");
  static_assert(!Checked::has_search, "terse: Beam looks for texts by its Beams, named once and first: for Samples use BestOf");
  static_assert(!Checked::has_draft, "terse: Beam writes several texts at a time for a prompt: Draft guesses for one; use Sample or Greedy, or leave it out");
  static_assert(!Checked::has_penalty, "terse: Penalty is a part of Contrastive alone; use that, or leave it out");

 public:
  explicit Beam(Beams beams, Parts... parts) : beams_(beams), parts_(std::move(parts)...) {}
  operator Strategy() const {
    Strategy strategy;
    detail::join_all(strategy, parts_);
    join(strategy, beams_);
    return strategy;
  }

 private:
  Beams beams_;
  std::tuple<Parts...> parts_;
};

/// Contrastive search (Su et al. 2022, arXiv:2202.06417): of the TopK likeliest tokens the one with the best of (1 - alpha) * probability - alpha * likeness, where
/// likeness is the largest cosine between its hidden state and that of a token before it.
template <class... Parts>
class Contrastive {
  using Checked = detail::CheckedParts<Parts...>;
  static_assert(Checked::has_top_k && Checked::has_penalty, "terse: Contrastive chooses among the TopK likeliest tokens by a Penalty; give both: Contrastive{TopK{4}, Penalty{0.6f}}");
  static_assert(!Checked::has_drawing, "terse: Contrastive draws nothing: Temperature, TopP, MinP and Typical don't change it; use Sample, or leave them out");
  static_assert(!Checked::has_search, "terse: Contrastive writes one text: for Beams use Beam, for Samples use BestOf");
  static_assert(!Checked::has_draft, "terse: Contrastive tries several tokens at a time: Draft guesses for one; use Sample or Greedy, or leave it out");

 public:
  explicit Contrastive(Parts... parts) : parts_(std::move(parts)...) {}
  operator Strategy() const {
    Strategy strategy;
    detail::join_all(strategy, parts_);
    strategy.greedy = strategy.penalty_alpha == 0;  // then likelihood alone counts
    return strategy;
  }

 private:
  std::tuple<Parts...> parts_;
};

}  // namespace terse::decode
