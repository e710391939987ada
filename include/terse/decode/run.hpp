#pragma once
/// The loop of a generator; see the top of decode/generator.hpp.

#include <algorithm>
#include <memory>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

#include <terse/decode/choose.hpp>
#include <terse/decode/choose_beams.hpp>
#include <terse/decode/choose_contrastive.hpp>
#include <terse/decode/work.hpp>

namespace terse::decode {

/// Prompts to texts, once. All memory is taken at construction.
template <CausalLm Model>
class Run {
 public:
  Run(const Model& model, TokenId end_of_text, GeneratorMemory<Model>& memory, std::span<const Prompt> prompts, const Strategy& strategy, const Observer& observer)
      : work_(model, end_of_text, memory, prompts, strategy, observer), texts_(work_.texts), chooser_(chooser_for(strategy)), shared_(length_in_common()) {}

  std::vector<Generation> texts() {
    while (admit() && collect_rows()) {  // nothing is allocated from here on
      infer_and_choose();
      if (!take_choices()) break;
    }
    keep_unfinished();
    return std::move(work_.results);
  }
  const Effort& effort() const { return work_.effort; }

 private:
  using Group = typename Work<Model>::Group;
  static constexpr Index context = Model::Config::context;

  std::unique_ptr<Chooser<Model>> chooser_for(const Strategy& strategy) {
    if (strategy.has_beams()) return std::make_unique<ChoosesBeams<Model>>(work_);
    if (!strategy.is_contrastive()) return std::make_unique<Draws<Model>>(work_);
    if constexpr (ShowsHidden<Model>) return std::make_unique<Contrasts<Model>>(work_);
    else fail(Failure::usage, "penalty-alpha: contrastive search needs a model that shows its hidden states (ShowsHidden in decode/causal_lm.hpp)");
  }

  static bool has_room(const Prompt& prompt) { return !prompt.ids.empty() && Work<Model>::length(prompt) < context; }

  /// Tokens that all prompts begin with, at most all but the last of each: they are read once, by the first slot.
  Index length_in_common() const {
    std::span<const TokenId> common;
    Index shortest = 0, count = 0;
    for (const Prompt& prompt : work_.prompts) {
      if (!has_room(prompt)) continue;
      const Index length = Work<Model>::length(prompt);
      if (count++ == 0) common = prompt.ids, shortest = length;
      const auto differs = std::ranges::mismatch(common, prompt.ids).in1;
      common = common.first(static_cast<std::size_t>(differs - common.begin())), shortest = std::min(shortest, length);
    }
    return count < 2 ? 0 : std::min(static_cast<Index>(common.size()), shortest - 1);
  }

  /// Free groups take the next prompts. False where the observer wants no more.
  bool admit() {
    for (std::size_t g = 0; g < work_.groups.size(); ++g) {
      while (work_.groups[g].prompt == Group::none && next_ < work_.prompts.size()) {
        const std::size_t i = next_++;
        const auto ids = work_.prompts[i].ids;
        if (has_room(work_.prompts[i])) {
          work_.groups[g] = {i, false};
          texts_.begin(static_cast<Index>(g) * work_.width, ids, has_shared_ ? shared_ : 0);
          has_shared_ = has_shared_ || shared_ > 0, work_.sources_changed = true;
          chooser_->begin(static_cast<Index>(g));
        } else if (!work_.finish_empty(i, ids.empty() ? Stop::end_of_text : Stop::context)) {
          return false;
        }
      }
    }
    return true;
  }

  /// Fills the step with rows: first texts being written, which need one each; then guesses; then prompts being read. False where there is nothing to do.
  bool collect_rows() {
    const GeneratorSize& size = work_.memory.size;
    shrink(step(), {}), work_.asks = 0;
    if (work_.rules) work_.rules->clear();
    Index writing = 0;
    for (Index s = 0; s < size.slots; ++s) writing += is_writing(s) ? 1 : 0;
    const Index guesses = work_.strategy.draft > 0 && writing <= size.drafts ? std::min(size.drafts, size.rows - writing) : 0;
    for (Index s = 0; s < size.slots; ++s)
      if (is_writing(s)) {
        const Index guessed = guess(s, guesses / writing);
        add_rows(s, 1 + guessed);
        if (!work_.group_of(s).has_begun) begin_texts(s);
        else
          for (Index n = 0; n <= guessed; ++n) add_ask(step().ids.rows - 1 - guessed + n, s, texts_[s].length + n);
      }
    for (Index s = 0; s < size.slots; ++s)
      if (is_reading(s)) {
        add_rows(s, std::min(texts_[s].unread(), size.rows - step().ids.rows));
        if (texts_[s].unread() == 0) begin_texts(s);
      }
    if (work_.rules) step().edit_starts[work_.asks] = work_.rules->size();
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
  void add_ask(Index row, Index slot, Index length) {
    const Index a = work_.asks++, prompt = texts_[slot].prompt;
    work_.asked[static_cast<std::size_t>(a)] = {slot, length};
    step().ask[a] = static_cast<std::int32_t>(row), step().ask.rows = work_.asks;
    step().draws[a] = draw_of(slot, static_cast<std::uint32_t>(length - prompt));
    if (!work_.rules) return;
    step().edit_starts[a] = work_.rules->size();
    work_.strategy.edit({texts_.ids(slot, length), static_cast<std::size_t>(prompt), work_.end_of_text}, *work_.rules);
  }
  ops::Draw draw_of(Index slot, std::uint32_t new_token) const {
    const Prompt& prompt = work_.prompt_of(slot);
    return {prompt.seed.value_or(work_.strategy.seed), prompt.number, new_token, static_cast<std::uint32_t>(slot % work_.width)};
  }

  /// The prompt is read: its texts begin, each by a choice of its own, or all by what one row says.
  void begin_texts(Index slot) {
    work_.group_of(slot).has_begun = true;
    for (Index s = slot; s < slot + chooser_->first_asks(); ++s) {
      texts_.copy(slot, s);
      add_ask(step().ids.rows - 1, s, texts_[s].length);
    }
    work_.sources_changed = work_.sources_changed || work_.width > 1;
  }

  /// Writes at most `most` guesses behind the text; how many.
  Index guess(Index slot, Index most) {
    Text& text = texts_[slot];
    if (!work_.group_of(slot).has_begun) return 0;
    most = std::min({most, Index{work_.strategy.draft}, work_.most_new(work_.prompt_of(slot)) - (text.length - text.prompt) - 1});
    if (most < 1 || !text.drafts.pays()) return 0;
    const auto guessed = look_up(texts_.ids(slot, text.length), static_cast<std::size_t>(most));
    std::ranges::copy(guessed, texts_.room(slot).begin() + text.length);
    return static_cast<Index>(guessed.size());
  }

  void infer_and_choose() {
    auto& memory = work_.memory;
    const Index rows = step().ids.rows;
    ++work_.effort.steps, work_.effort.rows += rows;
    memory.rows.upload();
    if (std::exchange(work_.sources_changed, false)) memory.sources.upload();
    const auto infer = [&] { work_.model.infer(work_.cache_rows(), work_.asks_on_device(), memory.cache, *memory.scratch); };
    if (rows == work_.asks) memory.write_step(rows, infer);
    else infer();
    auto logits = memory.scratch->logits;
    logits.rows = work_.asks;
    chooser_->choose(logits);
  }

  /// What was chosen joins the texts. False where the observer wants no more.
  bool take_choices() {
    for (Index first = 0, end = 0; first < work_.asks; first = end) {
      const Index group = work_.ask(first).slot / work_.width;
      while (end < work_.asks && work_.ask(end).slot / work_.width == group) ++end;
      if (!chooser_->take(group, first, end)) return false;
    }
    return true;
  }

  /// Where an observer stopped it: what the first text of each prompt has so far.
  void keep_unfinished() {
    for (std::size_t g = 0; g < work_.groups.size(); ++g) {
      if (work_.groups[g].prompt == Group::none) continue;
      Generation& text = work_.results_of(work_.groups[g].prompt)[0];
      const auto tokens = texts_.new_tokens(static_cast<Index>(g) * work_.width);
      const auto count = static_cast<Index>(tokens.ids.size()) - chooser_->undecided();
      if (text.stop != Stop::cancelled || count < 1) continue;
      tokens.first(static_cast<std::size_t>(count)).copy_to(text);
      text.logprob = 0;
      for (const float logprob : text.token_logprobs) text.logprob += static_cast<double>(logprob);
      text.score = work_.strategy.score(text.logprob, text.ids.size());
    }
  }

  StepRows& step() { return work_.step(); }

  Work<Model> work_;
  Texts& texts_;
  std::unique_ptr<Chooser<Model>> chooser_;
  Index shared_;                                      // tokens that all prompts begin with
  bool has_shared_ = false, shared_is_read_ = false;  // slot 0 has begun with them, has read them
  std::size_t next_ = 0;                              // the first prompt that has no group yet
};

}  // namespace terse::decode
