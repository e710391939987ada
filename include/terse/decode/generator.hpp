#pragma once
/// Texts from prompts, many at a time, by continuous batching (Yu et al., "Orca", OSDI 2022).
///
/// A generator has a fixed number of slots, each with its place in the cache. A slot whose text has ended takes the next prompt at
/// once. Each step runs a batch of rows through the model: one for each text being written, and in what room is left the next
/// tokens of prompts being read. Since the model is batch-invariant and random numbers are keyed by (seed, prompt's number, step),
/// a text depends on its prompt, its number and the strategy alone: not on slots, rows, threads, ranks or other prompts.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include <terse/core/arena.hpp>
#include <terse/core/error.hpp>
#include <terse/decode/causal_lm.hpp>
#include <terse/decode/generation.hpp>
#include <terse/decode/strategy.hpp>
#include <terse/device/mirror.hpp>
#include <terse/device/replay.hpp>
#include <terse/ops/sample/cpu.hpp>
#include <terse/tensor/tensor.hpp>

namespace terse::decode {

/// How much a generator does at a time.
struct GeneratorSize {
  Index slots = 32;          ///< texts (the decode batch)
  Index rows = slots + 256;  ///< rows of a step: at least one for each slot, the others read prompts
};

/// A step's rows; ids.rows and ask.rows count how many there are. Letters: R rows, B slots.
struct StepRows {
  Column<TokenId> ids;                                // (R)
  Column<std::int32_t> slots, positions;              // (R)
  Column<std::int32_t> ask, asking_slots;             // (B) rows whose logits are wanted, and their slots
  Column<ops::Draw> draws;                            // (B)

  constexpr void each(auto&& visit, Extent extent) {
    visit(ids, extent.tokens), visit(slots, extent.tokens), visit(positions, extent.tokens);
    visit(ask, extent.sequences), visit(asking_slots, extent.sequences), visit(draws, extent.sequences);
  }
};

/// What comes of a step.
template <Real S>
struct StepChoices {
  Column<ops::Choice<S>> choices;  // (B)

  constexpr void each(auto&& visit, Extent extent) { visit(choices, extent.sequences); }
};

/// A small group of tensors that host and device both see (device/mirror.hpp): each has its views of it.
template <class Group, class Device>
class MirroredGroup {
 public:
  MirroredGroup(Device& device, Extent extent) : memory_(device, bytes_needed<Group>(extent)) {
    Arena host(memory_.on_host(), memory_.size()), there(memory_.on_device(), memory_.size());
    carve(host, on_host, extent), carve(there, on_device, extent);
  }

  void upload() const { memory_.upload(); }
  void download() const { memory_.download(); }

 private:
  Mirror<Device> memory_;

 public:
  Group on_host, on_device;
};

/// Bytes of a generator's cache and scratch, for the memory plan.
template <CausalLm Model>
constexpr std::size_t generator_bytes(Index slots, Index rows) {
  const Extent extent{.tokens = rows, .sequences = slots};
  return Model::Cache::bytes(slots) + bytes_needed<typename Model::InferenceScratch>(extent) + bytes_needed<StepRows>(extent) +
         bytes_needed<StepChoices<LogitOf<Model>>>(extent);
}

/// Bytes that it reserves for each thread besides.
template <CausalLm Model>
constexpr std::size_t generator_thread_bytes() {
  return std::max(static_cast<std::size_t>(Model::Config::context) * sizeof(LogitOf<Model>), ops::sample_scratch<LogitOf<Model>>(Model::Config::vocabulary));
}

/// For a model that never ends a text.
inline constexpr TokenId no_end_of_text = -1;

/// Continues prompts with a model, `slots` texts at a time; see the top of this file. One thread uses it at a time; it may be used again and again.
template <CausalLm Model>
class Generator {
 public:
  static constexpr Index context = Model::Config::context, vocabulary = Model::Config::vocabulary;

  /// Takes all memory it will need. `model` must outlive it.
  /// Errors     Failure::usage: no slot, fewer rows than slots, or an end-of-text outside the vocabulary; Failure::device: out of memory
  Generator(const Model& model, TokenId end_of_text, GeneratorSize size = {})
      : model_(&model), end_of_text_(checked(end_of_text)), size_(checked(size)), cache_(model.device(), size.slots),
        scratch_(model.device(), {.tokens = size.rows, .sequences = size.slots}), rows_(model.device(), {.tokens = size.rows, .sequences = size.slots}),
        choices_(model.device(), {.tokens = size.rows, .sequences = size.slots}), active_(static_cast<std::size_t>(size.slots)),
        write_step_(model.device(), size.slots) {
    model.device().reserve_thread_scratch(generator_thread_bytes<Model>());
  }

  /// The continuation of each prompt, in the prompts' order. Prompt and new tokens together never exceed the context; a prompt that
  /// fills it, or an empty one, gets no token.
  /// Errors     Failure::usage: the strategy's; Failure::bad_input: a prompt is longer than the context or has ids outside the
  ///            vocabulary (named by its number), or the model's logits aren't finite
  std::vector<Generation> generate(std::span<const Prompt> prompts, const Strategy& strategy, const Observer& observer = {}) {
    require_valid(strategy);
    Run run{prompts, strategy, observer, {}};
    run.texts.resize(prompts.size());
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      require_valid(prompts[i]);
      run.texts[i].ids.reserve(static_cast<std::size_t>(std::min(Index{strategy.max_new}, context - length(prompts[i]))));
    }
    std::fill(active_.begin(), active_.end(), Slot{});
    while (admit(run) && collect_rows(run)) {  // nothing is allocated from here on
      infer_and_choose(strategy);
      if (!take_choices(run)) break;
    }
    return std::move(run.texts);
  }

 private:
  /// A text being written. Its tokens are the prompt's, then the new ones.
  struct Slot {
    static constexpr std::size_t none = static_cast<std::size_t>(-1);
    std::size_t prompt = none;
    Index read = 0;  ///< of its tokens: how many the cache has
    bool free() const { return prompt == none; }
  };

  struct Run {
    std::span<const Prompt> prompts;
    const Strategy& strategy;
    const Observer& observer;
    std::vector<Generation> texts;
    std::size_t next = 0;  ///< the first prompt that has no slot yet

    Index tokens(std::size_t i) const { return length(prompts[i]) + static_cast<Index>(texts[i].ids.size()); }
    TokenId token(std::size_t i, Index position) const {
      const Index own = length(prompts[i]);
      return position < own ? prompts[i].ids[static_cast<std::size_t>(position)] : texts[i].ids[static_cast<std::size_t>(position - own)];
    }
    /// False where the observer wants no more.
    bool finish(std::size_t i, Stop stop) {
      texts[i].stop = stop;
      return !observer.text || observer.text(i, texts[i]);
    }
  };

  static Index length(const Prompt& prompt) { return static_cast<Index>(prompt.ids.size()); }

  static TokenId checked(TokenId end_of_text) {
    if (end_of_text != no_end_of_text && (end_of_text < 0 || end_of_text >= vocabulary))
      fail(Failure::usage, "the end-of-text token ", end_of_text, " isn't in the model's vocabulary of ", vocabulary, "; use the tokenizer that belongs to the model");
    return end_of_text;
  }
  static GeneratorSize checked(GeneratorSize size) {
    if (size.slots < 1) fail(Failure::usage, "the decode batch must be at least 1: ", size.slots, " given");
    if (size.rows < size.slots) fail(Failure::usage, "a decode batch of ", size.slots, " needs at least as many rows: ", size.rows, " given");
    return size;
  }
  static void require_valid(const Strategy& strategy) { decode::require_valid(strategy); }
  static void require_valid(const Prompt& prompt) {
    if (length(prompt) > context)
      fail(Failure::bad_input, "prompt ", prompt.number, " has ", length(prompt), " tokens, the model's context only ", context, "; shorten it");
    for (const TokenId id : prompt.ids)
      if (id < 0 || id >= vocabulary)
        fail(Failure::bad_input, "prompt ", prompt.number, " has token ", id, ", the model's vocabulary only ", vocabulary, "; use the tokenizer that belongs to the model");
  }

  /// Free slots take the next prompts. False where the observer wants no more.
  bool admit(Run& run) {
    for (auto& slot : active_) {
      while (slot.free() && run.next < run.prompts.size()) {
        const std::size_t i = run.next++;
        const Index own = length(run.prompts[i]);
        if (own > 0 && own < context) slot = {i, 0};
        else if (!run.finish(i, own == 0 ? Stop::end_of_text : Stop::context)) return false;
      }
    }
    return true;
  }

  /// Fills the step with rows: first texts being written, which need one each, then prompts being read. False where there is nothing to do.
  bool collect_rows(const Run& run) {
    shrink(step(), {});
    const auto unread = [&](const Slot& slot) { return slot.free() ? 0 : run.tokens(slot.prompt) - slot.read; };
    for (Index s = 0; s < size_.slots; ++s)
      if (unread(slot(s)) == 1) add_rows(run, s, 1);
    for (Index s = 0; s < size_.slots; ++s)
      if (unread(slot(s)) > 1) add_rows(run, s, std::min(unread(slot(s)), size_.rows - step().ids.rows));
    return step().ids.rows > 0;
  }

  /// The next `count` tokens of slot s. If they are its last, the logits after them are asked for.
  void add_rows(const Run& run, Index s, Index count) {
    Slot& text = slot(s);
    for (Index n = 0; n < count; ++n, ++text.read) {
      const Index row = step().ids.rows++;
      step().ids[row] = run.token(text.prompt, text.read);
      step().slots[row] = static_cast<std::int32_t>(s);
      step().positions[row] = static_cast<std::int32_t>(text.read);
    }
    if (text.read < run.tokens(text.prompt)) return;
    const Index asked = step().ask.rows++;
    step().ask[asked] = static_cast<std::int32_t>(step().ids.rows - 1);
    step().asking_slots[asked] = static_cast<std::int32_t>(s);
    step().draws[asked] = {run.strategy.seed, run.prompts[text.prompt].number, static_cast<std::uint32_t>(run.texts[text.prompt].ids.size())};
  }

  void infer_and_choose(const Strategy& strategy) {
    const Index rows = step().ids.rows, asked = step().ask.rows;
    rows_.upload();
    if (rows == asked) write_step_(rows, [&] { infer(rows, asked); });
    else infer(rows, asked);
    auto logits = scratch_->logits;
    logits.rows = asked;
    ops::sample<vocabulary>(model_->device(), strategy.sample(), logits, part(rows_.on_device.draws, asked), part(choices_.on_device.choices, asked));
    choices_.download();
  }
  /// The model's pass over the step's rows.
  void infer(Index rows, Index asked) {
    const StepRows& there = rows_.on_device;
    model_->infer({part(there.ids, rows), part(there.slots, rows), part(there.positions, rows)}, part(there.ask, asked), cache_, *scratch_);
  }
  /// The first `count` rows.
  template <class Value>
  static std::span<Value> part(const Column<Value>& column, Index count) { return {column.data, static_cast<std::size_t>(count)}; }

  /// The chosen tokens join their texts; slots of ended texts become free. False where the observer wants no more.
  bool take_choices(Run& run) {
    for (Index asked = 0; asked < step().ask.rows; ++asked) {
      Slot& text = slot(step().asking_slots[asked]);
      const std::size_t i = text.prompt;
      const auto choice = choices_.on_host.choices[asked];
      Generation& generation = run.texts[i];
      if (std::isnan(choice.log_probability))
        fail(Failure::bad_input, "prompt ", run.prompts[i].number, ": the logits of new token ", generation.ids.size(), " aren't finite; the model's weights are damaged, or its training diverged");
      generation.ids.push_back(choice.id);
      generation.logprob += static_cast<double>(choice.log_probability);
      const bool ended = choice.id == end_of_text_, filled = run.tokens(i) == context;
      const bool last = generation.ids.size() == static_cast<std::size_t>(run.strategy.max_new);
      if (!ended && run.observer.token && !run.observer.token(i, choice.id)) return false;
      if (!ended && !last && !filled) continue;
      text = {};
      if (!run.finish(i, ended ? Stop::end_of_text : last ? Stop::length : Stop::context)) return false;
    }
    return true;
  }

  /// The step as it is filled.
  StepRows& step() { return rows_.on_host; }
  Slot& slot(Index s) { return active_[static_cast<std::size_t>(s)]; }

  const Model* model_;
  TokenId end_of_text_;
  GeneratorSize size_;
  typename Model::Cache cache_;
  TensorGroup<typename Model::InferenceScratch, typename Model::Device> scratch_;
  MirroredGroup<StepRows, typename Model::Device> rows_;
  MirroredGroup<StepChoices<LogitOf<Model>>, typename Model::Device> choices_;
  std::vector<Slot> active_;
  Replay<typename Model::Device> write_step_;  // one that reads no prompt: each row asks for logits
};

}  // namespace terse::decode
