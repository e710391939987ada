#pragma once
#include <span>

#include <terse/decode/work.hpp>

namespace terse::decode {

/// How texts get their next tokens: what a run asks once for each step. `choose` is the device's part of a step, `take` the host's.
template <CausalLm Model>
class Chooser {
 public:
  using Logits = decltype(Model::InferenceScratch::logits);

  explicit Chooser(Work<Model>& work) : work_(work) {}
  Chooser(const Chooser&) = delete;
  virtual ~Chooser() = default;

  /// A group of slots takes a prompt.
  virtual void begin(Index /*group*/) {}
  /// Texts of a prompt that ask for a first token of their own; else the first one asks for all.
  virtual Index first_asks() const { return 1; }
  /// Tokens at the end of a text that aren't chosen yet.
  virtual Index undecided() const { return 0; }
  /// The model has run the step's rows: what comes of the logits (A, P) is brought to the host.
  virtual void choose(Logits logits) = 0;
  /// What was chosen joins the texts of a group, whose asks are [first, end). False where the observer wants no more.
  virtual bool take(Index group, Index first, Index end) = 0;

 protected:
  Work<Model>& work_;
};

/// One token at a time for each text: the likeliest, or a random one (ops/sample/op.hpp). Guesses behind a text are checked on the way.
template <CausalLm Model>
class Draws final : public Chooser<Model> {
  using Chooser<Model>::work_;

 public:
  using Chooser<Model>::Chooser;

  Index first_asks() const override { return work_.width; }

  void choose(typename Chooser<Model>::Logits logits) override {
    work_.edit(logits);
    auto& choices = work_.memory.choices;
    ops::sample<Work<Model>::vocabulary>(work_.model.device(), work_.strategy.sample(), logits, work_.part(work_.memory.rows.on_device.draws, work_.asks), work_.part(choices.on_device.choices, work_.asks));
    choices.download();
  }

  bool take(Index group, Index first, Index end) override {
    for (Index next = first; first < end; first = next) {
      const Index slot = work_.ask(first).slot;
      for (next = first; next < end && work_.ask(next).slot == slot;) ++next;
      if (!take_for_text(group, slot, first, next)) return false;
    }
    return true;
  }

 private:
  /// Asks [first, end): behind the text, then behind each guess as long as guesses are right.
  bool take_for_text(Index group, Index slot, Index first, Index end) {
    Texts& texts = work_.texts;
    Text& text = texts[slot];
    Index right = 0;
    for (Index a = first; a < end && text.is_written; ++a, ++right) {
      const auto choice = work_.memory.choices.on_host.choices[a];
      work_.require_finite(choice.log_probability, slot);
      const bool was_guessed = a + 1 < end && texts.room(slot)[static_cast<std::size_t>(text.length)] == choice.id;
      texts.append(slot, choice.id, static_cast<double>(choice.log_probability)), ++work_.effort.new_tokens;
      const auto stop = work_.stop_of(slot, text.length);
      if (stop != Stop::end_of_text && !work_.tell(slot, choice.id)) return false;
      if (stop != Stop::cancelled) {
        text.is_written = false;
        if (!finish(group, slot, stop)) return false;
      }
      if (!was_guessed) break;
    }
    if (end - first > 1) text.drafts.take(end - first - 1, right), work_.effort.guesses += end - first - 1, work_.effort.right += right;
    if (text.is_written) text.read = text.length - 1;
    return true;
  }

  /// A text joins the best of its prompt; with the last of them the prompt is done.
  bool finish(Index group, Index slot, Stop stop) {
    work_.keep(work_.group_of(slot).prompt, work_.texts.new_tokens(slot), work_.texts[slot].logprob, stop);
    for (Index s = group * work_.width; s < (group + 1) * work_.width; ++s)
      if (work_.texts[s].is_written) return true;
    return work_.finish(group);
  }
};

}  // namespace terse::decode
