#pragma once
#include <cmath>
#include <limits>

#include <terse/decode/choose.hpp>

namespace terse::decode {

/// Contrastive search: a prompt's slots hold one text, each with another of its likeliest next tokens behind it. The model reads them all, and then it is known
/// how like an earlier token each is (ops/degeneration/op.hpp): the best one stays, and what the model says behind it are the next candidates.
/// Names, order and arithmetic are those of transformers 4.55, the last that had it; but a token that rules forbid is no candidate.
template <ShowsHidden Model>
class Contrasts final : public Chooser<Model> {
  using Chooser<Model>::work_;
  using S = LogitOf<Model>;
  using Device = typename Model::Device;
  using Remembered = DirectionsOf<Model>;
  using P = typename decltype(Remembered::directions)::Value;
  static constexpr Index vocabulary = Model::Config::vocabulary, context = Model::Config::context;

 public:
  explicit Contrasts(Work<Model>& work)
      : Chooser<Model>(work), count_(candidates_of(work.strategy, vocabulary)), candidates_(work.model.device(), {.tokens = work.memory.size.asks() * count_}),
        remembered_(work.model.device(), {.tokens = work.memory.size.slots * context}), penalties_(work.model.device(), work.memory.size.extent()) {
    work.model.device().reserve_thread_scratch(ops::best_scratch<S>(count_));
  }

  Index undecided() const override { return 1; }

  void choose(typename Chooser<Model>::Logits logits) override {
    auto& device = work_.model.device();
    const auto rows = work_.cache_rows();
    auto hidden = Model::hidden(*work_.memory.scratch);
    hidden.rows = static_cast<Index>(rows.ids.size());
    ops::degeneration<context>(device, rows, work_.asks_on_device(), hidden, remembered_->directions, penalties_.on_device.penalties);
    work_.edit(logits);
    ops::log_softmax<vocabulary>(device, logits);
    ops::best<vocabulary>(device, logits, count_, work_.part(candidates_.on_device.candidates, work_.asks * count_));
    penalties_.download(), candidates_.download();
  }

  bool take(Index group, Index first, Index end) override {
    Texts& texts = work_.texts;
    const bool begins = work_.ask(first).length == texts[work_.ask(first).slot].prompt;
    if (begins) return go_on(group * work_.width, first), true;
    const Index best = best_of(first, end), slot = work_.ask(best).slot;
    const TokenId id = texts.new_tokens(slot).ids.back();
    const auto stop = work_.stop_of(slot, texts[slot].length);
    ++work_.effort.new_tokens;
    if (stop == Stop::cancelled) go_on(group * work_.width, best);
    else work_.keep(work_.group_of(slot).prompt, texts.new_tokens(slot), texts[slot].logprob, stop);
    if (stop != Stop::end_of_text && !work_.tell(slot, id)) return false;
    return stop == Stop::cancelled || work_.finish(group);
  }

 private:
  /// The ask whose text ends with the best token; of equals the likelier.
  Index best_of(Index first, Index end) const {
    Index best = first;
    float largest = -std::numeric_limits<float>::infinity();
    for (Index a = first; a < end; ++a) {
      const Index slot = work_.ask(a).slot;
      const float alpha = work_.strategy.penalty_alpha, probability = std::exp(work_.texts.new_tokens(slot).logprobs.back());
      const float score = (1 - alpha) * probability - alpha * static_cast<float>(penalties_.on_host.penalties[a]);
      if (score > largest) largest = score, best = a;
    }
    return best;
  }

  /// All slots get the text of ask `best`, each with a candidate of its own behind it.
  void go_on(Index slot, Index best) {
    Texts& texts = work_.texts;
    const Index from = work_.ask(best).slot, length = texts[from].length;
    const Text text = texts[from];
    texts.save(from, 1, length);
    const auto* const candidates = candidates_.on_host.candidates.data + best * count_;
    const auto may_come = [&](Index n) { return n < count_ && candidates[n].score > -std::numeric_limits<S>::infinity(); };
    if (!may_come(0)) work_.fail_for_logits(from);
    for (Index n = 0; n < work_.width; ++n) {
      texts[slot + n] = text, texts[slot + n].is_written = may_come(n);
      if (!may_come(n)) continue;
      texts.restore(from, slot + n);
      texts.append(slot + n, candidates[n].id, static_cast<double>(candidates[n].score));
    }
    work_.sources_changed = true;
  }

  Index count_;  // candidates of a text
  MirroredGroup<StepCandidates<S>, Device> candidates_;
  TensorGroup<Remembered, Device> remembered_;
  MirroredGroup<StepPenalties<P>, Device> penalties_;
};

}  // namespace terse::decode
