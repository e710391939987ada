#pragma once
#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include <terse/decode/beam_search.hpp>
#include <terse/decode/choose.hpp>

namespace terse::decode {

/// The best ways on for the beams of each prompt (beam_search.hpp). Groups of beams go on one after the other, each kept from what those before took.
template <CausalLm Model>
class ChoosesBeams final : public Chooser<Model> {
  using Chooser<Model>::work_;
  using S = LogitOf<Model>;
  static constexpr Index vocabulary = Model::Config::vocabulary;

 public:
  explicit ChoosesBeams(Work<Model>& work)
      : Chooser<Model>(work), best_of_a_row_(candidates_of(work.strategy, vocabulary)), candidates_(work.model.device(), {.tokens = work.memory.size.asks() * best_of_a_row_}) {
    const auto& strategy = work.strategy;
    ways_.reserve(static_cast<std::size_t>(strategy.beams * best_of_a_row_));
    taken_.reserve(static_cast<std::size_t>(strategy.beams));
    searches_.reserve(work.groups.size() * static_cast<std::size_t>(strategy.beam_groups));
    for (std::size_t g = 0; g < searches_.capacity(); ++g) searches_.emplace_back(strategy, std::min<Index>(strategy.max_new, Model::Config::context));
    work.model.device().reserve_thread_scratch(ops::best_scratch<S>(best_of_a_row_));
  }

  void begin(Index group) override {
    for (auto& search : searches_of(group)) search.begin();
  }

  void choose(typename Chooser<Model>::Logits logits) override {
    ops::log_softmax<vocabulary>(work_.model.device(), logits);
    work_.edit(logits);  // of log-probabilities, as transformers has it
    ops::best<vocabulary>(work_.model.device(), logits, best_of_a_row_, work_.part(candidates_.on_device.candidates, work_.asks * best_of_a_row_));
    candidates_.download();
  }

  bool take(Index group, Index first, Index end) override {
    Texts& texts = work_.texts;
    const Index slot = group * work_.width, beams = work_.width / work_.strategy.beam_groups, length_before = work_.ask(first).length;
    const bool begins = length_before == texts[slot].prompt;  // one text asks, for all
    const int length = static_cast<int>(length_before + 1 - texts[slot].prompt), limit = static_cast<int>(work_.most_new(work_.prompt_of(slot)));
    const auto searches = searches_of(group);
    taken_.clear();
    for (Index g = 0; g < work_.strategy.beam_groups; ++g) {
      auto& search = searches[static_cast<std::size_t>(g)];
      if (search.is_over()) {
        taken_.insert(taken_.end(), static_cast<std::size_t>(beams), work_.end_of_text);
        continue;
      }
      find_ways(slot, first, end, [&](Index a) { return begins || work_.ask(a).slot / beams == slot / beams + g; });
      ways_.resize(std::min(ways_.size(), static_cast<std::size_t>(2 * beams)));
      for (auto& way : ways_) {
        texts.room(slot + way.beam)[static_cast<std::size_t>(length_before)] = way.id;
        way.stop = work_.stop_of(slot + way.beam, length_before + 1);
      }
      search.advance(ways_, length, limit, [&](int beam) { return texts.new_tokens(slot + beam); });
      for (const auto& next : search.running()) taken_.push_back(next.id);
    }
    if (!std::ranges::all_of(searches, &BeamSearch::is_over)) return go_on(slot, length_before, searches), true;
    for (auto search = searches.rbegin(); search != searches.rend(); ++search)  // std::views::reverse doesn't compile with clang 14 and libstdc++ 12
      for (const auto& text : search->ended()) work_.keep(work_.group_of(slot).prompt, {text.ids, text.token_logprobs}, text.logprob, text.stop);
    return work_.finish(group);
  }

 private:
  /// All ways on from the texts whose asks are `asks`, the best first.
  template <class Asks>
  void find_ways(Index slot, Index first, Index end, Asks&& asks) {
    ways_.clear();
    for (Index a = first; a < end; ++a) {
      if (!asks(a)) continue;
      const Index its = work_.ask(a).slot;
      const float before = static_cast<float>(work_.texts[its].logprob);
      const auto* const candidates = candidates_.on_host.candidates.data + a * best_of_a_row_;
      work_.require_finite(candidates[0].score, its);
      for (Index n = 0; n < best_of_a_row_; ++n) {
        if (!(candidates[n].score > -std::numeric_limits<S>::infinity())) continue;
        const float logprob = static_cast<float>(candidates[n].score) - taken_already(its, candidates[n].id);
        ways_.push_back({.score = before + logprob, .beam = static_cast<int>(its - slot), .id = candidates[n].id, .logprob = logprob});
      }
    }
    if (ways_.empty()) work_.fail_for_logits(work_.ask(first).slot);  // each token is banned
    std::ranges::sort(ways_, [](const Continuation& a, const Continuation& b) { return a.score != b.score ? a.score > b.score : a.beam != b.beam ? a.beam < b.beam : a.id < b.id; });
  }
  /// What a token loses since groups of beams before took it. The repetition penalty, which comes after, makes it more.
  float taken_already(Index slot, TokenId id) const {
    const auto times = std::ranges::count(taken_, id);
    if (times == 0) return 0;
    const auto ids = work_.texts.ids(slot, work_.texts[slot].length);
    const bool is_repeated = std::ranges::find(ids, id) != ids.end();
    return work_.strategy.diversity * static_cast<float>(times) * (is_repeated ? work_.strategy.repetition_penalty.penalty : 1);
  }

  /// The running beams take the slots from `slot` on, each group its own.
  void go_on(Index slot, Index length, std::span<const BeamSearch> searches) {
    Texts& texts = work_.texts;
    const auto beams = static_cast<std::size_t>(work_.width) / searches.size();
    texts.save(slot, work_.width, length);
    const Index prompt = texts[slot].prompt;
    for (std::size_t i = 0; i < static_cast<std::size_t>(work_.width); ++i) {
      const Index to = slot + static_cast<Index>(i);
      const auto& search = searches[i / beams];
      Text& text = texts[to];
      text.is_written = !search.is_over() && i % beams < search.running().size();
      if (!text.is_written) continue;
      const auto& next = search.running()[i % beams];
      text.prompt = prompt;
      texts.restore(slot + next.beam, to);
      texts.append(to, next.id, static_cast<double>(next.logprob)), ++work_.effort.new_tokens;
      text.logprob = static_cast<double>(next.score);
    }
    work_.sources_changed = true;
  }

  /// One for each group of a prompt's beams.
  std::span<BeamSearch> searches_of(Index group) {
    const auto count = static_cast<std::size_t>(work_.strategy.beam_groups);
    return std::span(searches_).subspan(static_cast<std::size_t>(group) * count, count);
  }

  Index best_of_a_row_;
  MirroredGroup<StepCandidates<S>, typename Model::Device> candidates_;
  std::vector<BeamSearch> searches_;  // for each group of slots one for each group of its beams
  std::vector<Continuation> ways_;
  std::vector<TokenId> taken_;        // in this step, by the groups of beams before
};

}  // namespace terse::decode
