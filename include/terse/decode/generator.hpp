#pragma once
/// Texts from prompts, many at a time, by continuous batching (Yu et al., "Orca", OSDI 2022).
///
/// A generator has a fixed number of slots, each with its place in the cache. A slot whose text has ended takes the next prompt at
/// once; a beam search takes as many slots for a prompt as it has beams. Each step runs a batch of rows through the model: one for each text being
/// written, and in what room is left the next tokens of prompts being read. What prompts or beams have in common stands in the cache once. Since the
/// model is batch-invariant and random numbers are keyed by (seed, prompt's number, step), a text depends on its prompt, its number and the strategy
/// alone: not on slots, rows, threads, ranks, guesses or other prompts.

#include <span>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/decode/memory.hpp>
#include <terse/decode/run.hpp>

namespace terse::decode {

/// For a model that never ends a text.
inline constexpr TokenId no_end_of_text = -1;

/// Continues prompts with a model, `slots` texts at a time; see the top of this file. One thread uses it at a time; it may be used again and again.
template <CausalLm Model>
class Generator {
 public:
  static constexpr Index context = Model::Config::context, vocabulary = Model::Config::vocabulary;

  /// Takes cache and scratch. `model` must outlive it.
  /// Errors     Failure::usage: no slot, fewer rows than slots, or an end-of-text outside the vocabulary; Failure::device: out of memory
  Generator(const Model& model, TokenId end_of_text, GeneratorSize size = {}) : model_(&model), end_of_text_(checked(end_of_text)), memory_(model.device(), checked(size)) {}

  /// The continuation of each prompt, in the prompts' order; strategy.returned of each, back to back; where a search finds fewer, the last of them
  /// are empty. Prompt and new tokens together never exceed the
  /// context; a prompt that fills it, or an empty one, gets no token.
  /// Errors     Failure::usage: the strategy's; Failure::bad_input: a prompt is longer than the context or has ids outside the
  ///            vocabulary (named by its number), or the model's logits aren't finite
  std::vector<Generation> generate(std::span<const Prompt> prompts, const Strategy& strategy, const Observer& observer = {}) {
    require_valid(strategy);
    if (strategy.width() > memory_.size.slots)
      fail(Failure::usage, "a search that writes ", strategy.width(), " texts for each prompt needs a decode batch of as many: ", memory_.size.slots, " given");
    for (const Prompt& prompt : prompts) require_valid(prompt);
    Run<Model> run(*model_, end_of_text_, memory_, prompts, strategy, observer);
    auto texts = run.texts();
    effort_ = run.effort();
    return texts;
  }
  /// Of the last `generate`.
  const Effort& effort() const { return effort_; }

 private:
  static TokenId checked(TokenId end_of_text) {
    if (end_of_text != no_end_of_text && (end_of_text < 0 || end_of_text >= vocabulary))
      fail(Failure::usage, "the end-of-text token ", end_of_text, " isn't in the model's vocabulary of ", vocabulary, "; use the tokenizer that belongs to the model");
    return end_of_text;
  }
  static GeneratorSize checked(GeneratorSize size) {
    if (size.slots < 1) fail(Failure::usage, "the decode batch must be at least 1: ", size.slots, " given");
    if (size.rows < size.slots) fail(Failure::usage, "a decode batch of ", size.slots, " needs at least as many rows: ", size.rows, " given");
    if (size.drafts < 0) fail(Failure::usage, "rows that check guesses must be at least 0: ", size.drafts, " given");
    return size;
  }
  static void require_valid(const Strategy& strategy) { decode::require_valid(strategy); }
  static void require_valid(const Prompt& prompt) {
    if (static_cast<Index>(prompt.ids.size()) > context)
      fail(Failure::bad_input, "prompt ", prompt.number, " has ", prompt.ids.size(), " tokens, the model's context only ", context, "; shorten it");
    for (const TokenId id : prompt.ids)
      if (id < 0 || id >= vocabulary)
        fail(Failure::bad_input, "prompt ", prompt.number, " has token ", id, ", the model's vocabulary only ", vocabulary, "; use the tokenizer that belongs to the model");
  }

  const Model* model_;
  TokenId end_of_text_;
  GeneratorMemory<Model> memory_;
  Effort effort_;
};

}  // namespace terse::decode
