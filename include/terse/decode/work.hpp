#pragma once
#include <algorithm>
#include <cmath>
#include <optional>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/decode/generation.hpp>
#include <terse/decode/memory.hpp>
#include <terse/decode/strategy.hpp>
#include <terse/decode/texts.hpp>

namespace terse::decode {

/// What a run has in work: prompts and how far each text is written. Read by the loop (run.hpp) and by what chooses tokens (choose.hpp).
/// All memory is taken at construction.
template <CausalLm Model>
struct Work {
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

  Work(const Model& its_model, TokenId its_end_of_text, GeneratorMemory<Model>& its_memory, std::span<const Prompt> its_prompts, const Strategy& its_strategy, const Observer& its_observer)
      : model(its_model), end_of_text(its_end_of_text), memory(its_memory), prompts(its_prompts), strategy(its_strategy), observer(its_observer), width(its_strategy.width()),
        groups(static_cast<std::size_t>(memory.size.slots / width), Group{}), texts(memory.size.slots, context, memory.sources.on_host.slots.data),
        results(prompts.size() * static_cast<std::size_t>(strategy.returned)), asked(static_cast<std::size_t>(memory.size.asks())) {
    for (std::size_t i = 0; i < results.size(); ++i) {
      const Index most = std::max<Index>(0, most_new(prompts[i / static_cast<std::size_t>(strategy.returned)]));
      results[i].ids.reserve(static_cast<std::size_t>(most)), results[i].token_logprobs.reserve(static_cast<std::size_t>(most));
    }
    if (!strategy.has_rules()) return;
    const Index most = strategy.most_edits(vocabulary, context);
    edits.emplace(model.device(), Extent{.tokens = memory.size.asks() * most});
    rules.emplace(vocabulary, most, std::span(edits->on_host.edits.data, static_cast<std::size_t>(edits->on_host.edits.rows)));
  }

  static Index length(const Prompt& prompt) { return static_cast<Index>(prompt.ids.size()); }
  Index most_new(const Prompt& prompt) const { return std::min<Index>(strategy.max_new, context - length(prompt)); }
  Group& group_of(Index slot) { return groups[static_cast<std::size_t>(slot / width)]; }
  const Group& group_of(Index slot) const { return groups[static_cast<std::size_t>(slot / width)]; }
  const Prompt& prompt_of(Index slot) const { return prompts[group_of(slot).prompt]; }
  const Ask& ask(Index a) const { return asked[static_cast<std::size_t>(a)]; }
  /// The step as it is filled.
  StepRows& step() { return memory.rows.on_host; }

  /// The step's rows on the device, and those that are asked.
  ops::CacheRows cache_rows() const {
    const StepRows& there = memory.rows.on_device;
    const Index rows = memory.rows.on_host.ids.rows;
    return {part(there.ids, rows), part(there.slots, rows), part(there.positions, rows), memory.sources.on_device.slots.data};
  }
  std::span<const std::int32_t> asks_on_device() const { return part(memory.rows.on_device.ask, asks); }

  /// The rules' edits of this step's logits, of which there is a row for each ask.
  template <class Logits>
  void edit(Logits logits) {
    if (!rules || rules->size() == 0) return;
    edits->upload(static_cast<std::size_t>(rules->size()) * sizeof(ops::LogitEdit));
    ops::edit<vocabulary>(model.device(), {part(memory.rows.on_device.edit_starts, asks + 1), edits->on_device.edits.data}, logits);
  }

  /// Why a text of so many tokens ends with its last one; `cancelled`: it doesn't.
  Stop stop_of(Index slot, Index tokens) const {
    const Text& text = texts[slot];
    const auto ids = texts.ids(slot, tokens);
    if (ids.back() == end_of_text) return Stop::end_of_text;
    if (strategy.stops_at({ids, static_cast<std::size_t>(text.prompt), end_of_text})) return Stop::asked;
    if (tokens - text.prompt == strategy.max_new) return Stop::length;
    return tokens == context ? Stop::context : Stop::cancelled;
  }

  template <Real S>
  void require_finite(S score, Index slot) const {
    if (std::isnan(score)) fail_for_logits(slot);
  }
  [[noreturn]] void fail_for_logits(Index slot) const {
    fail(Failure::bad_input, "prompt ", prompt_of(slot).number, ": the logits of new token ", texts[slot].length - texts[slot].prompt,
         " aren't finite; the model's weights are damaged, or its training diverged", rules ? ", or the strategy's rules leave no token" : "");
  }

  /// The texts of a prompt that are given back: strategy.returned of them, best first; those not yet written are `cancelled`.
  std::span<Generation> results_of(std::size_t prompt) {
    const auto count = static_cast<std::size_t>(strategy.returned);
    return std::span(results).subspan(prompt * count, count);
  }
  /// A text takes its place among its prompt's.
  void keep(std::size_t prompt, const NewTokens& tokens, double logprob, Stop stop) {
    const auto its = results_of(prompt);
    const float score = strategy.score(logprob, tokens.ids.size());
    const auto place = std::ranges::find_if(its, [&](const Generation& other) { return other.stop == Stop::cancelled || other.score < score; });
    if (place == its.end()) return;
    std::rotate(place, its.end() - 1, its.end());
    tokens.copy_to(*place), place->logprob = logprob, place->stop = stop, place->score = score;
  }
  /// All texts of a prompt are written. False where the observer wants no more.
  bool finish(Index group) {
    const std::size_t prompt = std::exchange(groups[static_cast<std::size_t>(group)], Group{}).prompt;
    for (Index s = group * width; s < (group + 1) * width; ++s) texts[s] = {};
    return report(prompt);
  }
  bool finish_empty(std::size_t prompt, Stop stop) {
    for (auto& text : results_of(prompt)) text.stop = stop;
    return report(prompt);
  }
  bool report(std::size_t prompt) {
    if (!observer.text) return true;
    return std::ranges::all_of(results_of(prompt), [&](const Generation& text) { return observer.text(prompt, text); });
  }
  /// A token that is a text's for good, where a prompt has one text. False where the observer wants no more.
  bool tell(Index slot, TokenId id) const { return !strategy.writes_one() || !observer.token || observer.token(group_of(slot).prompt, id); }

  /// The first `count` rows.
  template <class Value>
  static std::span<Value> part(const Column<Value>& column, Index count) { return {column.data, static_cast<std::size_t>(count)}; }

  const Model& model;
  TokenId end_of_text;
  GeneratorMemory<Model>& memory;
  std::span<const Prompt> prompts;
  const Strategy& strategy;
  const Observer& observer;
  Index width;                      // slots of a group
  std::vector<Group> groups;
  Texts texts;
  bool sources_changed = true;
  std::vector<Generation> results;  // (prompts, returned)
  std::vector<Ask> asked;           // (A)
  Index asks = 0;
  Effort effort;

  // Where the strategy has rules.
  std::optional<MirroredGroup<StepEdits, typename Model::Device>> edits;
  std::optional<Edits> rules;
};

}  // namespace terse::decode
