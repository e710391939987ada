#pragma once
/// The loop of a generator; see the top of decode/generator.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/decode/beam_search.hpp>
#include <terse/decode/generation.hpp>
#include <terse/decode/memory.hpp>
#include <terse/decode/strategy.hpp>
#include <terse/decode/texts.hpp>

namespace terse::decode {

/// Prompts to texts, once. All memory is taken at construction.
template <CausalLm Model>
class Run {
 public:
  Run(const Model& model, TokenId end_of_text, GeneratorMemory<Model>& memory, std::span<const Prompt> prompts, const Strategy& strategy, const Observer& observer)
      : model_(model), end_of_text_(end_of_text), memory_(memory), prompts_(prompts), strategy_(strategy), observer_(observer), width_(strategy.width()),
        groups_(static_cast<std::size_t>(memory.size.slots / width_), Group{}), texts_(memory.size.slots, context, memory.sources.on_host.slots.data), shared_(length_in_common()), asked_(static_cast<std::size_t>(memory.size.asks())) {
    auto& device = model.device();
    results_.resize(prompts.size() * static_cast<std::size_t>(strategy.returned));
    for (std::size_t i = 0; i < results_.size(); ++i) results_[i].ids.reserve(static_cast<std::size_t>(std::max<Index>(0, most_new(prompts[i / static_cast<std::size_t>(strategy.returned)]))));
    if (strategy.has_rules()) {
      const Index most = strategy.most_edits(vocabulary, context);
      edits_.emplace(device, Extent{.tokens = memory.size.asks() * most});
      rules_.emplace(vocabulary, most, std::span(edits_->on_host.edits.data, static_cast<std::size_t>(edits_->on_host.edits.rows)));
    }
    if (!strategy.has_beams()) return;
    candidates_.emplace(device, Extent{.tokens = memory.size.asks() * best_of_a_row});
    ways_.reserve(static_cast<std::size_t>(strategy.beams * best_of_a_row));
    taken_.reserve(static_cast<std::size_t>(strategy.beams));
    searches_.reserve(groups_.size() * static_cast<std::size_t>(strategy.beam_groups));
    for (std::size_t g = 0; g < searches_.capacity(); ++g) searches_.emplace_back(strategy, std::min<Index>(strategy.max_new, context));
    device.reserve_thread_scratch(ops::best_scratch<S>(best_of_a_row));
  }

  std::vector<Generation> texts() {
    while (admit() && collect_rows()) {  // nothing is allocated from here on
      infer_and_choose();
      if (!take_choices()) break;
    }
    keep_unfinished();
    return std::move(results_);
  }
  const Effort& effort() const { return effort_; }

 private:
  using S = LogitOf<Model>;
  static constexpr Index context = Model::Config::context, vocabulary = Model::Config::vocabulary;

  /// The slots that write for one prompt: [g * width, (g + 1) * width).
  struct Group {
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    std::size_t prompt = none;
    bool has_begun = false;  ///< the prompt is read, and all of its texts are being written
  };
  /// What a row's logits are asked for.
  struct Ask {
    Index slot, length;  ///< the text, and its tokens before the one that is asked for
  };

  static Index length(const Prompt& prompt) { return static_cast<Index>(prompt.ids.size()); }
  static bool has_room(const Prompt& prompt) { return length(prompt) > 0 && length(prompt) < context; }
  Index most_new(const Prompt& prompt) const { return std::min<Index>(strategy_.max_new, context - length(prompt)); }
  bool has_begun(Index slot) const { return groups_[static_cast<std::size_t>(slot / width_)].has_begun; }
  const Prompt& prompt_of(Index slot) const { return prompts_[groups_[static_cast<std::size_t>(slot / width_)].prompt]; }

  /// Tokens that all prompts begin with, at most all but the last of each: they are read once, by the first slot.
  Index length_in_common() const {
    std::span<const TokenId> common;
    Index shortest = 0, count = 0;
    for (const Prompt& prompt : prompts_) {
      if (!has_room(prompt)) continue;
      if (count++ == 0) common = prompt.ids, shortest = length(prompt);
      const auto differs = std::ranges::mismatch(common, prompt.ids).in1;
      common = common.first(static_cast<std::size_t>(differs - common.begin())), shortest = std::min(shortest, length(prompt));
    }
    return count < 2 ? 0 : std::min(static_cast<Index>(common.size()), shortest - 1);
  }

  /// Free groups take the next prompts. False where the observer wants no more.
  bool admit() {
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      while (groups_[g].prompt == Group::none && next_ < prompts_.size()) {
        const std::size_t i = next_++;
        const auto ids = prompts_[i].ids;
        if (has_room(prompts_[i])) {
          const Index slot = static_cast<Index>(g) * width_;
          groups_[g] = {i, false};
          texts_.begin(slot, ids, has_shared_ ? shared_ : 0);
          has_shared_ = has_shared_ || shared_ > 0, sources_changed_ = true;
          if (!searches_.empty())
            for (auto& search : searches_of(static_cast<Index>(g))) search.begin();
        } else if (!finish_empty(i, ids.empty() ? Stop::end_of_text : Stop::context)) {
          return false;
        }
      }
    }
    return true;
  }

  /// Fills the step with rows: first texts being written, which need one each; then guesses; then prompts being read. False where there is nothing to do.
  bool collect_rows() {
    shrink(step(), {}), asks_ = 0;
    if (rules_) rules_->clear();
    Index writing = 0;
    for (Index s = 0; s < memory_.size.slots; ++s) writing += is_writing(s) ? 1 : 0;
    Index guesses = strategy_.draft > 0 && width_ == 1 && writing <= memory_.size.drafts ? std::min(memory_.size.drafts, memory_.size.rows - writing) : 0;
    for (Index s = 0; s < memory_.size.slots; ++s)
      if (is_writing(s)) {
        const Index guessed = guess(s, guesses / writing);
        add_rows(s, 1 + guessed);
        if (!has_begun(s)) begin_texts(s);
        else
          for (Index n = 0; n <= guessed; ++n) add_ask(step().ids.rows - 1 - guessed + n, s, texts_[s].length + n);
      }
    for (Index s = 0; s < memory_.size.slots; ++s)
      if (is_reading(s)) {
        add_rows(s, std::min(texts_[s].unread(), memory_.size.rows - step().ids.rows));
        if (texts_[s].unread() == 0) begin_texts(s);
      }
    if (rules_) step().edit_starts[asks_] = rules_->size();
    return step().ids.rows > 0;
  }

  /// Texts wait until the tokens that all prompts share are read.
  bool is_active(Index slot) const { return texts_[slot].is_written && (slot == 0 || shared_ == 0 || shared_is_read_); }
  bool is_writing(Index slot) const { return is_active(slot) && texts_[slot].unread() == 1; }
  bool is_reading(Index slot) const { return is_active(slot) && texts_[slot].unread() > 1; }

  /// The slot's next `count` tokens, guesses behind its text among them.
  void add_rows(Index slot, Index count) {
    for (Index n = 0; n < count; ++n) {
      const Index row = step().ids.rows++, position = texts_[slot].read++;
      step().ids[row] = texts_.room(slot)[static_cast<std::size_t>(position)];
      step().slots[row] = static_cast<std::int32_t>(slot), step().positions[row] = static_cast<std::int32_t>(position);
    }
    if (slot == 0 && texts_[0].read >= shared_) shared_is_read_ = true;
  }

  /// Asks for the token behind the first `length` of a text, by the logits of `row`.
  void add_ask(Index row, Index slot, Index length_before) {
    const Text& text = texts_[slot];
    asked_[static_cast<std::size_t>(asks_)] = {slot, length_before};
    step().ask[asks_] = static_cast<std::int32_t>(row);
    step().draws[asks_] = draw_of(slot, static_cast<std::uint32_t>(length_before - text.prompt));
    if (rules_) {
      step().edit_starts[asks_] = rules_->size();
      strategy_.edit({texts_.ids(slot, length_before), static_cast<std::size_t>(text.prompt), end_of_text_}, *rules_);
    }
    step().ask.rows = ++asks_;
  }
  ops::Draw draw_of(Index slot, std::uint32_t new_token) const {
    const Prompt& prompt = prompt_of(slot);
    return {prompt.seed.value_or(strategy_.seed), prompt.number, new_token, static_cast<std::uint32_t>(slot % width_)};
  }

  /// The prompt is read: its texts begin, drawn ones each by a choice of its own, beams from one row's candidates.
  void begin_texts(Index slot) {
    groups_[static_cast<std::size_t>(slot / width_)].has_begun = true;
    for (Index s = slot; s < slot + (searches_.empty() ? width_ : 1); ++s) {
      texts_.copy(slot, s);
      add_ask(step().ids.rows - 1, s, texts_[s].length);
    }
    sources_changed_ = sources_changed_ || width_ > 1;
  }

  /// Writes at most `most` guesses behind the text; how many.
  Index guess(Index slot, Index most) {
    Text& text = texts_[slot];
    if (!has_begun(slot)) return 0;
    most = std::min({most, Index{strategy_.draft}, most_new(prompt_of(slot)) - (text.length - text.prompt) - 1});
    if (most < 1 || !text.drafts.pays()) return 0;
    const auto guessed = look_up(texts_.ids(slot, text.length), static_cast<std::size_t>(most));
    std::ranges::copy(guessed, texts_.room(slot).begin() + text.length);
    return static_cast<Index>(guessed.size());
  }

  void infer_and_choose() {
    auto& device = model_.device();
    const Index rows = step().ids.rows;
    ++effort_.steps, effort_.rows += rows;
    memory_.rows.upload();
    if (std::exchange(sources_changed_, false)) memory_.sources.upload();
    if (rows == asks_) memory_.write_step(rows, [&] { infer(rows); });
    else infer(rows);

    const StepRows& there = memory_.rows.on_device;
    auto logits = memory_.scratch->logits;
    logits.rows = asks_;
    if (candidates_) ops::log_softmax<vocabulary>(device, logits);
    if (rules_ && rules_->size() > 0) {
      edits_->upload(static_cast<std::size_t>(rules_->size()) * sizeof(ops::LogitEdit));
      ops::edit<vocabulary>(device, {part(there.edit_starts, asks_ + 1), edits_->on_device.edits.data}, logits);
    }
    if (candidates_) {
      ops::best<vocabulary>(device, logits, best_of_a_row, part(candidates_->on_device.candidates, asks_ * best_of_a_row));
      candidates_->download();
    } else {
      ops::sample<vocabulary>(device, strategy_.sample(), logits, part(there.draws, asks_), part(memory_.choices.on_device.choices, asks_));
      memory_.choices.download();
    }
  }
  /// The model's pass over the step's rows.
  void infer(Index rows) {
    const StepRows& there = memory_.rows.on_device;
    model_.infer({part(there.ids, rows), part(there.slots, rows), part(there.positions, rows), memory_.sources.on_device.slots.data}, part(there.ask, asks_), memory_.cache, *memory_.scratch);
  }
  /// The first `count` rows.
  template <class Value>
  static std::span<Value> part(const Column<Value>& column, Index count) { return {column.data, static_cast<std::size_t>(count)}; }

  /// What was chosen joins the texts. False where the observer wants no more.
  bool take_choices() {
    for (Index first = 0, end = 0; first < asks_; first = end) {
      const Index group = asked(first).slot / width_;
      while (end < asks_ && asked(end).slot / width_ == group) ++end;
      if (!(searches_.empty() ? take_drawn(group, first, end) : take_beams(group, first, end))) return false;
    }
    return true;
  }

  /// The tokens drawn for a prompt's texts: asks [first, end).
  bool take_drawn(Index group, Index first, Index end) {
    for (Index next = first; first < end; first = next) {
      const Index slot = asked(first).slot;
      for (next = first; next < end && asked(next).slot == slot;) ++next;
      Text& text = texts_[slot];
      Index right = 0;
      for (Index a = first; a < next && text.is_written; ++a, ++right) {
        const auto choice = memory_.choices.on_host.choices[a];
        require_finite(choice.log_probability, slot);
        const bool was_guessed = a + 1 < next && texts_.room(slot)[static_cast<std::size_t>(text.length)] == choice.id;
        ++effort_.new_tokens;
        texts_.append(slot, choice.id), text.logprob += static_cast<double>(choice.log_probability);
        const auto stop = stop_of(slot, text.length);
        if (stop != Stop::end_of_text && width_ == 1 && observer_.token && !observer_.token(groups_[static_cast<std::size_t>(group)].prompt, choice.id)) return false;
        if (stop != Stop::cancelled) {
          text.is_written = false;
          if (!finish_drawn(group, slot, stop)) return false;
        }
        if (!was_guessed) break;
      }
      if (next - first > 1) text.drafts.take(next - first - 1, right), effort_.guesses += next - first - 1, effort_.right += right;
      if (text.is_written) text.read = text.length - 1;
    }
    return true;
  }

  /// Why a text of so many tokens ends with its last one; `cancelled`: it doesn't.
  Stop stop_of(Index slot, Index tokens) const {
    const Text& text = texts_[slot];
    const auto ids = texts_.ids(slot, tokens);
    if (ids.back() == end_of_text_) return Stop::end_of_text;
    if (strategy_.stops_at({ids, static_cast<std::size_t>(text.prompt), end_of_text_})) return Stop::asked;
    if (tokens - text.prompt == strategy_.max_new) return Stop::length;
    return tokens == context ? Stop::context : Stop::cancelled;
  }

  /// A drawn text joins the best of its prompt; with the last of them the prompt is done.
  bool finish_drawn(Index group, Index slot, Stop stop) {
    keep(groups_[static_cast<std::size_t>(group)].prompt, texts_.new_ids(slot), texts_[slot].logprob, stop);
    for (Index s = group * width_; s < (group + 1) * width_; ++s)
      if (texts_[s].is_written) return true;
    return finish(group);
  }

  /// A step of a beam search: asks [first, end) have the candidates of its beams. Groups of beams go on one after the other, each kept from what those before took.
  bool take_beams(Index group, Index first, Index end) {
    const Index slot = group * width_, beams = width_ / strategy_.beam_groups, length_before = asked(first).length;
    const bool begins = length_before == texts_[slot].prompt;  // one text asks, for all
    const auto searches = searches_of(group);
    taken_.clear();
    for (Index g = 0; g < strategy_.beam_groups; ++g) {
      auto& search = searches[static_cast<std::size_t>(g)];
      if (search.is_over()) {
        taken_.insert(taken_.end(), static_cast<std::size_t>(beams), end_of_text_);
        continue;
      }
      const auto asks = [&](Index a) { return begins || asked(a).slot / beams == slot / beams + g; };
      find_ways(slot, first, end, asks);
      ways_.resize(std::min(ways_.size(), static_cast<std::size_t>(2 * beams)));
      for (auto& way : ways_) {
        texts_.room(slot + way.beam)[static_cast<std::size_t>(length_before)] = way.id;
        way.stop = stop_of(slot + way.beam, length_before + 1), way.ends = way.stop != Stop::cancelled;
      }
      search.advance(ways_, static_cast<int>(length_before + 1 - texts_[slot].prompt), static_cast<int>(most_new(prompt_of(slot))), [&](int beam) { return texts_.new_ids(slot + beam); });
      for (const auto& next : search.running()) taken_.push_back(next.id);
    }
    if (!std::ranges::all_of(searches, &BeamSearch::is_over)) return go_on(slot, length_before, searches);
    for (auto search = searches.rbegin(); search != searches.rend(); ++search)  // std::views::reverse doesn't compile with clang 14 and libstdc++ 12
      for (const auto& text : search->ended()) keep(groups_[static_cast<std::size_t>(group)].prompt, text.ids, text.logprob, text.stop);
    return finish(group);
  }

  /// All ways on from the texts whose asks are `asks`, the best first.
  template <class Asks>
  void find_ways(Index slot, Index first, Index end, Asks&& asks) {
    ways_.clear();
    for (Index a = first; a < end; ++a) {
      if (!asks(a)) continue;
      const float before = static_cast<float>(texts_[asked(a).slot].logprob);
      const auto* const candidates = candidates_->on_host.candidates.data + a * best_of_a_row;
      require_finite(candidates[0].score, asked(a).slot);
      for (Index n = 0; n < best_of_a_row; ++n)
        if (candidates[n].score > -std::numeric_limits<S>::infinity())
          ways_.push_back({before + (static_cast<float>(candidates[n].score) - taken_already(asked(a).slot, candidates[n].id)), static_cast<int>(asked(a).slot - slot), candidates[n].id});
    }
    if (ways_.empty()) fail_for_logits(asked(first).slot);  // each token is banned
    std::ranges::sort(ways_, [](const Continuation& a, const Continuation& b) { return a.score != b.score ? a.score > b.score : a.beam != b.beam ? a.beam < b.beam : a.id < b.id; });
  }
  /// What a token loses since groups of beams before took it. The repetition penalty, which comes after, makes it more.
  float taken_already(Index slot, TokenId id) const {
    const auto times = std::ranges::count(taken_, id);
    if (times == 0) return 0;
    const bool is_repeated = std::ranges::find(texts_.ids(slot, texts_[slot].length), id) != texts_.ids(slot, texts_[slot].length).end();
    return strategy_.diversity * static_cast<float>(times) * (is_repeated ? strategy_.repetition_penalty.penalty : 1);
  }

  /// The running beams take the slots from `slot` on, each group its own.
  bool go_on(Index slot, Index length, std::span<const BeamSearch> searches) {
    const auto beams = static_cast<std::size_t>(width_) / searches.size();
    texts_.save(slot, width_, length);
    const Index prompt = texts_[slot].prompt;
    for (std::size_t i = 0; i < static_cast<std::size_t>(width_); ++i) {
      const Index to = slot + static_cast<Index>(i);
      const auto& search = searches[i / beams];
      Text& text = texts_[to];
      text.is_written = !search.is_over() && i % beams < search.running().size();
      if (!text.is_written) continue;
      const auto& next = search.running()[i % beams];
      text.prompt = prompt, text.logprob = static_cast<double>(next.score);
      texts_.restore(slot + next.beam, to);
      texts_.append(to, next.id), ++effort_.new_tokens;
    }
    sources_changed_ = true;
    return true;
  }
  /// One for each group of a prompt's beams.
  std::span<BeamSearch> searches_of(Index group) {
    const auto count = static_cast<std::size_t>(strategy_.beam_groups);
    return std::span(searches_).subspan(static_cast<std::size_t>(group) * count, count);
  }

  void require_finite(S score, Index slot) const {
    if (std::isnan(score)) fail_for_logits(slot);
  }
  [[noreturn]] void fail_for_logits(Index slot) const {
    fail(Failure::bad_input, "prompt ", prompt_of(slot).number, ": the logits of new token ", texts_[slot].length - texts_[slot].prompt,
         " aren't finite; the model's weights are damaged, or its training diverged", rules_ ? ", or the strategy's rules leave no token" : "");
  }

  /// The texts of a prompt that are given back: strategy.returned of them, best first; those not yet written are `cancelled`.
  std::span<Generation> results_of(std::size_t prompt) {
    const auto count = static_cast<std::size_t>(strategy_.returned);
    return std::span(results_).subspan(prompt * count, count);
  }
  /// A text takes its place among its prompt's.
  void keep(std::size_t prompt, std::span<const TokenId> ids, double logprob, Stop stop) {
    const auto results = results_of(prompt);
    const float score = strategy_.score(logprob, ids.size());
    const auto place = std::ranges::find_if(results, [&](const Generation& other) { return other.stop == Stop::cancelled || other.score < score; });
    if (place == results.end()) return;
    std::rotate(place, results.end() - 1, results.end());
    place->ids.assign(ids.begin(), ids.end()), place->logprob = logprob, place->stop = stop, place->score = score;
  }
  /// All texts of a prompt are written. False where the observer wants no more.
  bool finish(Index group) {
    const std::size_t prompt = std::exchange(groups_[static_cast<std::size_t>(group)], Group{}).prompt;
    for (Index s = group * width_; s < (group + 1) * width_; ++s) texts_[s] = {};
    return report(prompt);
  }
  bool finish_empty(std::size_t prompt, Stop stop) {
    for (auto& text : results_of(prompt)) text.stop = stop;
    return report(prompt);
  }
  bool report(std::size_t prompt) {
    if (!observer_.text) return true;
    return std::ranges::all_of(results_of(prompt), [&](const Generation& text) { return observer_.text(prompt, text); });
  }
  /// Where an observer stopped it: what the first text of each prompt has so far.
  void keep_unfinished() {
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      if (groups_[g].prompt == Group::none) continue;
      const Index slot = static_cast<Index>(g) * width_;
      const auto ids = texts_.new_ids(slot);
      Generation& text = results_of(groups_[g].prompt)[0];
      if (text.stop != Stop::cancelled || ids.empty()) continue;
      text.ids.assign(ids.begin(), ids.end()), text.logprob = texts_[slot].logprob, text.score = strategy_.score(text.logprob, ids.size());
    }
  }

  /// The step as it is filled.
  StepRows& step() { return memory_.rows.on_host; }
  const Ask& asked(Index a) const { return asked_[static_cast<std::size_t>(a)]; }

  const Model& model_;
  TokenId end_of_text_;
  GeneratorMemory<Model>& memory_;
  std::span<const Prompt> prompts_;
  const Strategy& strategy_;
  const Observer& observer_;
  Index width_;                       // slots of a group
  std::vector<Group> groups_;
  Texts texts_;
  Index shared_;                      // tokens that all prompts begin with
  bool has_shared_ = false, shared_is_read_ = false;  // slot 0 has begun with them, has read them
  bool sources_changed_ = true;
  std::size_t next_ = 0;              // the first prompt that has no group yet
  Effort effort_;
  std::vector<Generation> results_;   // (prompts, returned)
  std::vector<Ask> asked_;            // (A)
  Index asks_ = 0;

  // Where the strategy has rules.
  std::optional<MirroredGroup<StepEdits, typename Model::Device>> edits_;
  std::optional<Edits> rules_;

  // Of a beam search.
  const Index best_of_a_row = candidates_of(strategy_, vocabulary);
  std::optional<MirroredGroup<StepCandidates<S>, typename Model::Device>> candidates_;
  std::vector<BeamSearch> searches_;  // for each group of slots one for each group of its beams
  std::vector<Continuation> ways_;
  std::vector<TokenId> taken_;        // in this step, by the groups of beams before
};

}  // namespace terse::decode
