#pragma once
/// What a generator takes before its first step.

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <terse/core/arena.hpp>
#include <terse/core/error.hpp>
#include <terse/decode/causal_lm.hpp>
#include <terse/decode/strategy.hpp>
#include <terse/device/mirror.hpp>
#include <terse/device/replay.hpp>
#include <terse/ops/degeneration/cpu.hpp>
#include <terse/ops/sample/cpu.hpp>
#include <terse/tensor/tensor.hpp>

namespace terse::decode {

/// How much a generator does at a time.
struct GeneratorSize {
  Index slots = 32;          ///< texts (the decode batch); a beam search takes as many for a prompt as it has beams
  Index rows = slots + 256;  ///< rows of a step: at least one for each slot, the others read prompts
  Index drafts = 8;          ///< rows of a step that check guesses

  /// Rows of a step whose logits are wanted.
  constexpr Index asks() const { return slots + drafts; }
  constexpr Extent extent() const { return {.tokens = rows, .sequences = asks()}; }
};

/// A step's rows; ids.rows and ask.rows count how many there are. Letters: R rows, A of which are asked for logits.
struct StepRows {
  Column<TokenId> ids;                      // (R)
  Column<std::int32_t> slots, positions;    // (R)
  Column<std::int32_t> ask, edit_starts;    // (A), (A + 1)
  Column<ops::Draw> draws;                  // (A)

  constexpr void each(auto&& visit, Extent extent) {
    visit(ids, extent.tokens), visit(slots, extent.tokens), visit(positions, extent.tokens);
    visit(ask, extent.sequences), visit(edit_starts, extent.sequences + 1), visit(draws, extent.sequences);
  }
};

/// Where each position of a text stands (ops/cached_attention/op.hpp): (slots, context), `tokens` counting all of them.
struct Sources {
  Column<std::int32_t> slots;
  constexpr void each(auto&& visit, Extent extent) { visit(slots, extent.tokens); }
};

/// What comes of a step that draws: (A).
template <Real S>
struct StepChoices {
  Column<ops::Choice<S>> choices;
  constexpr void each(auto&& visit, Extent extent) { visit(choices, extent.sequences); }
};

/// What comes of a beam search's step: (A, n), `tokens` counting all of them.
template <Real S>
struct StepCandidates {
  Column<ops::Candidate<S>> candidates;
  constexpr void each(auto&& visit, Extent extent) { visit(candidates, extent.tokens); }
};

/// A step's edits, back to back.
struct StepEdits {
  Column<ops::LogitEdit> edits;
  constexpr void each(auto&& visit, Extent extent) { visit(edits, extent.tokens); }
};

/// What a contrastive search remembers of each text's tokens (ops/degeneration/op.hpp): (slots * context, C), `tokens` counting all of them.
template <Real S, Index C>
struct Directions {
  Rows<S, C> directions;
  constexpr void each(auto&& visit, Extent extent) { visit(directions, extent.tokens); }
};

/// And what comes of its step besides candidates: (A).
template <Real S>
struct StepPenalties {
  Column<S> penalties;
  constexpr void each(auto&& visit, Extent extent) { visit(penalties, extent.sequences); }
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
  /// Of the group's first tensor so many bytes.
  void upload(std::size_t bytes) const { memory_.upload(bytes); }
  void download() const { memory_.download(); }

 private:
  Mirror<Device> memory_;

 public:
  Group on_host, on_device;
};

/// Bytes of a generator's cache and scratch, for the memory plan.
template <CausalLm Model>
constexpr std::size_t generator_bytes(GeneratorSize size) {
  return Model::Cache::bytes(size.slots) + bytes_needed<typename Model::InferenceScratch>(size.extent()) + bytes_needed<StepRows>(size.extent()) +
         bytes_needed<StepChoices<LogitOf<Model>>>(size.extent()) + bytes_needed<Sources>({.tokens = size.slots * Model::Config::context});
}

/// The best tokens of each row that a search looks at. In a diverse beam search so many may be put back as there are beams in other groups.
constexpr Index candidates_of(const Strategy& strategy, Index vocabulary) {
  if (strategy.is_contrastive()) return std::min<Index>(strategy.top_k, vocabulary);
  return std::min<Index>(strategy.beam_groups > 1 ? 2 * strategy.beams / strategy.beam_groups + strategy.beams : 2 * strategy.beams, vocabulary);
}

/// A model's hidden states as contrastive search remembers them.
template <ShowsHidden Model>
using DirectionsOf = Directions<Wide<typename decltype(Model::hidden(std::declval<typename Model::InferenceScratch&>()))::Value>,
                                decltype(Model::hidden(std::declval<typename Model::InferenceScratch&>()))::columns>;

/// Bytes that a contrastive search takes for them while it runs.
template <ShowsHidden Model>
constexpr std::size_t contrastive_bytes(GeneratorSize size) {
  using S = typename decltype(DirectionsOf<Model>::directions)::Value;
  return bytes_needed<DirectionsOf<Model>>({.tokens = size.slots * Model::Config::context}) + bytes_needed<StepPenalties<S>>(size.extent());
}

/// Bytes that a strategy takes besides while it runs, on the device and for the host's bookkeeping.
template <CausalLm Model>
constexpr std::size_t strategy_bytes(const Strategy& strategy, GeneratorSize size) {
  std::size_t bytes = 0;
  if constexpr (ShowsHidden<Model>)
    if (strategy.is_contrastive()) bytes += contrastive_bytes<Model>(size);
  if (strategy.has_beams() || strategy.is_contrastive()) bytes += bytes_needed<StepCandidates<LogitOf<Model>>>({.tokens = size.asks() * candidates_of(strategy, Model::Config::vocabulary)});
  if (strategy.has_rules()) bytes += bytes_needed<StepEdits>({.tokens = size.asks() * strategy.most_edits(Model::Config::vocabulary, Model::Config::context)});
  return bytes;
}

/// Bytes that it reserves for each thread besides.
template <CausalLm Model>
constexpr std::size_t generator_thread_bytes() {
  return std::max(static_cast<std::size_t>(Model::Config::context) * sizeof(LogitOf<Model>), ops::sample_scratch<LogitOf<Model>>(Model::Config::vocabulary));
}

/// All of it.
template <CausalLm Model>
struct GeneratorMemory {
  using Device = typename Model::Device;
  using S = LogitOf<Model>;

  GeneratorMemory(Device& device, GeneratorSize generator_size)
      : size(generator_size), cache(device, size.slots), scratch(device, size.extent()), rows(device, size.extent()), choices(device, size.extent()),
        sources(device, {.tokens = size.slots * Model::Config::context}), write_step(device, size.asks()) {
    device.reserve_thread_scratch(generator_thread_bytes<Model>());
  }

  GeneratorSize size;
  typename Model::Cache cache;
  TensorGroup<typename Model::InferenceScratch, Device> scratch;
  MirroredGroup<StepRows, Device> rows;
  MirroredGroup<StepChoices<S>, Device> choices;
  MirroredGroup<Sources, Device> sources;
  Replay<Device> write_step;  // one that reads no prompt: each row asks for logits
};

}  // namespace terse::decode
