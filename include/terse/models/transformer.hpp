#pragma once
/// A decoder-only transformer, the whole of it: what GPT-2 and Llama have in common. A family (models/gpt.hpp, models/llama.hpp) says which blocks it is
/// made of and what its parameters are called.
///
/// Letters: T tokens of a packed batch, C width, V vocabulary (P padded), N target rows, R rows against a cache.

#include <algorithm>
#include <array>
#include <span>
#include <type_traits>

#include <terse/core/arena.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/models/config.hpp>
#include <terse/nn/block.hpp>
#include <terse/nn/layers.hpp>
#include <terse/nn/module.hpp>
#include <terse/ops/cross_entropy/cpu.hpp>
#include <terse/ops/embedding/cpu.hpp>
#include <terse/ops/gather/cpu.hpp>
#include <terse/ops/matmul/cpu.hpp>
#include <terse/ops/matmul/invariant.hpp>
#include <terse/ops/r_drop/cpu.hpp>
#include <terse/ops/workspace/cpu.hpp>

namespace terse::models {

namespace detail {

/// Whether it is one of the layer's views.
template <class Layer>
constexpr bool is_of(Layer& layer, const void* view) {
  bool found = false;
  nn::for_each_parameter(layer, [&](const nn::ParameterName&, auto& mine, const nn::ParameterTraits&) { found = found || static_cast<const void*>(&mine) == view; });
  return found;
}
template <class Parameters>
constexpr bool is_of_head(Parameters& layers, const void* view) {
  if constexpr (requires { layers.head; }) return is_of(layers.head, view);
  else return false;
}

/// Whether parameters are listed in the order of forward: embeddings, blocks, norm, head. Backward has their gradients final from the last to the first, and sums over ranks begin with
/// all that stand behind a layer.
template <class Parameters>
constexpr bool lists_in_order() {
  Parameters layers{};
  enum Place { embeddings, blocks, norm, head } last = embeddings;
  bool in_order = true;
  nn::for_each_parameter(layers, [&](const nn::ParameterName&, auto& view, const nn::ParameterTraits& traits) {
    const Place place = traits.block >= 0 ? blocks : is_of(layers.norm, &view) ? norm : is_of_head(layers, &view) ? head : embeddings;
    in_order = in_order && last <= place, last = place;
  });
  return in_order;
}

/// Says so.
template <class Parameters>
struct ListedInOrder {
  static constexpr bool value = lists_in_order<Parameters>();
  static_assert(value, "terse: Transformer: a family's parameters are listed in this order: embeddings, blocks, norm, head");
};

}  // namespace detail

/// Weights and gradients of a family's model, flat.
template <class Family, Precision P, class Device>
using TransformerModule = nn::Module<typename Family::template Parameters<P, typename P::Parameter>, typename Family::template Parameters<P, typename P::Stream>, P, Device>;

/// A transformer of a family, in the dtypes of a precision policy, on a device.
///
///   struct Family {
///     using Config = …;                             // the sizes: models/config.hpp
///     template <Precision P, Real T> struct Parameters {
///       Matrix<T, P, C> tokens;                     // the embedding, and the head's weight where there is no `head`
///       Matrix<T, context, C> positions;            // may be absent: then the blocks know positions (nn/positions.hpp)
///       std::array<Block, layers> blocks;           // derived from nn::Block
///       … norm;                                     // before the head
///       nn::Weight<T, P, C> head;                   // may be absent: then it is tied to the embedding
///       constexpr void parameters(auto&& visit);    // their names and order in files
///     };
///   };
///
/// Owns its parameters (flat, zero at first: nn::initialize or io::read_weights fill them). What a step needs besides, `Saved` and `Scratch`,
/// the caller carves once for its largest batch (core/arena.hpp).
///
///   forward   ids -> the last norm's output, for all rows
///   loss      target rows -> cross-entropy
///   backward  loss and its gradient, added to `Gradients`
///   infer     rows against a cache -> logits, batch-invariant
template <class FamilyType, Precision P, class DeviceType>
class Transformer : public TransformerModule<FamilyType, P, DeviceType> {
  using Module = TransformerModule<FamilyType, P, DeviceType>;

 public:
  using Family = FamilyType;
  using Config = typename Family::Config;
  using Layers = nn::PlainLayers;  ///< those of its blocks, where it is adapted (models/lora.hpp)
  using Act = typename P::Activation;
  using typename Module::Device, typename Module::Parameter, typename Module::Stream, typename Module::Gradients;
  using Module::Module, Module::device, Module::weights;
  using BlockLayer = typename decltype(Module::Weights::blocks)::value_type;
  using Norm = decltype(Module::Weights::norm);
  static constexpr Index C = Config::width, V = Config::vocabulary, padded_V = Config::padded_vocabulary, D = C / Config::heads;

  static constexpr bool learns_positions = requires(const typename Module::Weights& weights) { weights.positions; };
  static constexpr bool trains_embeddings = !nn::detail::is_frozen<decltype(Module::Weights::tokens)>;  ///< and the head: not where adapters are trained
  static constexpr bool is_tied = !requires(const typename Module::Weights& weights) { weights.head; };
  static constexpr bool takes_loss_terms = true;  ///< backward, as the batch says

  /// Target rows whose logits exist at one time: at most 64 MiB of them.
  static constexpr Index head_rows = std::clamp<Index>((Index{16} << 20) / padded_V / 32 * 32, 32, 1024);
  static_assert(head_rows % 2 == 0);  // twins stay together
  static_assert(detail::ListedInOrder<typename Module::Weights>::value);

  /// What forward leaves for backward: the stream between blocks, and what `kept` blocks save. Each takes the place of the block `kept` before it, so that the last
  /// `kept` blocks' stand there when backward begins; what the others saved it computes again (models/activation_checkpointing.hpp).
  template <int kept>
  struct Activations {
    std::array<Rows<Stream, C>, Config::layers + 1> streams;  // (T, C) the embeddings, and what leaves each block
    std::array<typename BlockLayer::Saved, kept> blocks;
    typename Norm::template Saved<Stream> norm;
    Rows<Act, C> last;                                        // (T, C) after the last norm

    constexpr void each(auto&& visit, Extent extent) {
      for (auto& stream : streams) visit(stream, extent.tokens);
      for (auto& block : blocks) block.each(visit, extent);
      norm.each(visit, extent), visit(last, extent.tokens);
    }
    /// The stream that enters block l, and leaves block l - 1.
    Rows<Stream, C> stream(int l) const { return streams[static_cast<std::size_t>(l)]; }
    const typename BlockLayer::Saved& block(int l) const { return blocks[static_cast<std::size_t>(l % kept)]; }
  };
  /// What backward needs of forward, all of it.
  using Saved = Activations<Config::layers>;

  /// Memory that a step overwrites.
  struct Scratch {
    typename BlockLayer::Scratch block;
    Rows<Stream, C> dstream;            // (T, C) the gradient of the residual stream
    Column<Stream> losses;              // (N <= T) of each target row, in nats
    Rows<Act, C> head_inputs;           // (head_rows, C)
    Rows<Stream, C> head_gradients;     // (head_rows, C)
    Rows<Stream, padded_V> logits;      // (head_rows, P)
    Rows<Act, padded_V> logit_slopes;   // (head_rows, P); in fp32 the logits' own memory

    constexpr void each(auto&& visit, Extent extent) {
      block.each(visit, extent);
      visit(dstream, extent.tokens), visit(losses, extent.tokens);
      visit(head_inputs, head_rows), visit(head_gradients, head_rows), visit(logits, head_rows);
      if constexpr (!std::is_same_v<Act, Stream>) visit(logit_slopes, head_rows);
    }
  };

  /// Bytes of the device's workspace that the largest of a step's ops takes.
  static constexpr std::size_t workspace_bytes(Index tokens) {
    using Needs = ops::Workspace<Device>;
    constexpr Index up = BlockLayer::Scratch::inputs * BlockLayer::Scratch::M, qkv = decltype(BlockLayer::attention)::qkv_columns, widest = std::max({up, qkv, C});
    return std::max({Needs::template product<Parameter>(tokens, widest, C), Needs::template product<Parameter>(tokens, C, BlockLayer::Scratch::M),
                     Needs::template product<Parameter>(std::min(tokens, head_rows), padded_V, C), Needs::column_sums(widest, 1), Needs::column_sums(C, 2),
                     Needs::added_rows(tokens), Needs::attention(tokens, Config::heads)});
  }
  /// Bytes that attention takes for each thread, in training or against a cache.
  static constexpr std::size_t thread_scratch_bytes() {
    return std::max(ops::Workspace<Device>::template attention_of_thread<Stream, D>(Config::context),
                    static_cast<std::size_t>(Config::context) * sizeof(Stream));
  }

  /// The head's weight (P, C), among weights or gradients: the embedding's where it is tied.
  static auto head(const auto& layers) {
    if constexpr (is_tied) return layers.tokens;
    else return layers.head.weight;
  }

  /// Runs the batch up to the last norm.
  template <int kept>
  void forward(const PackedBatch& batch, const ops::DropoutPlan& dropout, const Activations<kept>& saved, const Scratch& scratch) const {
    embed(device(), weights(), batch, dropout.at(ops::DropoutSite::embedding), saved.stream(0));                                  // (T, C)
    BlockLayer::Positions::prepare(device(), batch.positions, scratch.block.angles);
    for (int l = 0; l < Config::layers; ++l)
      block(l).forward(device(), batch, dropout, l, saved.stream(l), saved.block(l), scratch.block, saved.stream(l + 1));        // (T, C)
    weights().norm.forward(device(), saved.stream(Config::layers), saved.last, saved.norm);                                       // (T, C)
  }

  /// Loss of each target row, into scratch.losses. Needs forward's `saved`.
  template <int kept>
  void loss(const PackedBatch& batch, const Activations<kept>& saved, const Scratch& scratch) const {
    for_head_rows(batch, scratch, [&](const Scratch& part, std::span<const std::int32_t> rows, Index first) {
      ops::gather(device(), saved.last, rows, part.head_inputs);                                                                // (n, C)
      ops::matmul_transposed(device(), part.head_inputs, head(weights()), part.logits);                                          // (n, P)
      ops::cross_entropy<V>(device(), part.logits, batch.targets.subspan(static_cast<std::size_t>(first), rows.size()), part.losses);
    });
  }

  /// Loss as above, and the batch's loss_terms, and *loss_scale times the gradient of sum over n of weights[n] * loss[n] is added to `gradients`: head and
  /// softmax on target rows only.
  /// `is_final` hears of each layer whose gradient is final, from the last to the first.
  template <int kept, class IsFinal = nn::Unheard>
  void backward(const PackedBatch& batch, const ops::DropoutPlan& dropout, const float* loss_scale, const Activations<kept>& saved, const Scratch& scratch,
                Gradients& gradients, IsFinal&& is_final = {}) const {
    const auto dlast = scratch.block.branch;                                                                                    // (T, C)
    ops::clear(device(), dlast);
    for_head_rows(batch, scratch, [&](const Scratch& part, std::span<const std::int32_t> rows, Index first) {
      const auto targets = batch.targets.subspan(static_cast<std::size_t>(first), rows.size());
      const auto row_weights = batch.weights.subspan(static_cast<std::size_t>(first), rows.size());
      ops::gather(device(), saved.last, rows, part.head_inputs);                                                                // (n, C)
      ops::matmul_transposed(device(), part.head_inputs, head(weights()), part.logits);                                          // (n, P)
      if (batch.loss_terms.r_drop > 0)
        ops::r_drop_with_gradient<V>(device(), part.logits, targets, row_weights, part.losses, part.logit_slopes, loss_scale, batch.loss_terms);                        // (n, P)
      else
        ops::cross_entropy_with_gradient<V>(device(), part.logits, targets, row_weights, part.losses, part.logit_slopes, loss_scale, batch.loss_terms.label_smoothing);  // (n, P)
      ops::matmul(device(), part.logit_slopes, head(weights()), part.head_gradients);                                            // (n, C)
      if constexpr (trains_embeddings) ops::matmul_gradient(device(), part.logit_slopes, part.head_inputs, head(gradients), Write::accumulate);
      ops::scatter(device(), part.head_gradients, rows, dlast);                                                                 // (T, C)
    });

    if constexpr (!is_tied) is_final(gradients.head);
    weights().norm.backward(device(), saved.stream(Config::layers), saved.norm, dlast, scratch.dstream, Write::overwrite, gradients.norm);
    is_final(gradients.norm);
    for (int l = Config::layers - 1; l >= 0; --l) {
      auto& gradient = gradients.blocks[static_cast<std::size_t>(l)];
      if (l < Config::layers - kept) block(l).recompute(device(), batch, dropout, l, saved.stream(l), saved.block(l), scratch.block);
      block(l).backward(device(), batch, dropout, l, saved.stream(l), saved.block(l), scratch.block, scratch.dstream, gradient);
      is_final(gradient);
    }
    if constexpr (trains_embeddings) embed_backward(batch, dropout.at(ops::DropoutSite::embedding), scratch.dstream, gradients);
  }

  /// Keys and values of `slots` texts, one cache a layer.
  class Cache {
   public:
    /// Bytes of a cache for so many texts: keys and values of layers * slots * context rows, each of key_value_heads * D.
    static constexpr std::size_t bytes(Index slots) { return static_cast<std::size_t>(2 * Config::layers * slots * BlockLayer::Cache::slot_values) * sizeof(Act); }

    Cache(Device& device, Index slots) : memory_(device.allocate(bytes(slots), Pages::small)), slots_(slots) {}
    Index slots() const { return slots_; }
    typename BlockLayer::Cache layer(int l) const {
      Act* const keys = reinterpret_cast<Act*>(memory_.data()) + 2 * l * slots_ * BlockLayer::Cache::slot_values;
      return {keys, keys + slots_ * BlockLayer::Cache::slot_values};
    }

   private:
    typename Device::Memory memory_;
    Index slots_;
  };

  /// Memory that `infer` overwrites: R rows at a time, B of which are asked for logits.
  struct InferenceScratch {
    typename BlockLayer::InferenceScratch block;
    Rows<Stream, C> stream;         // (R, C)
    Rows<Stream, C> head_inputs;    // (B, C)
    Rows<Stream, padded_V> logits;  // (B, P)

    constexpr void each(auto&& visit, Extent extent) {
      block.each(visit, extent), visit(stream, extent.tokens);
      visit(head_inputs, extent.sequences), visit(logits, extent.sequences);
    }
  };

  /// Runs rows against the cache, which takes up their keys and values, and leaves the logits that follow each row of `ask` (at most
  /// B of them) in scratch.logits. Batch-invariant: a row's logits depend on its slot's earlier rows alone.
  void infer(const ops::CacheRows& rows, std::span<const std::int32_t> ask, const Cache& cache, InferenceScratch scratch) const {
    const auto logits_of = [this](auto x, auto logits) { ops::invariant_matmul_transposed(device(), x, head(weights()), logits); };
    infer_with(device(), weights(), logits_of, rows, ask, cache, scratch);
  }

  /// The lines of infer, for weights whose linear layers may be others (models/quantized.hpp): logits_of(x, logits) is theirs, `input` what the layers take besides.
  template <class Weights, class LogitsOf>
  static void infer_with(Device& device, const Weights& weights, const LogitsOf& logits_of, const ops::CacheRows& rows, std::span<const std::int32_t> ask, const Cache& cache,
                         InferenceScratch scratch, const auto&... input) {
    shrink(scratch, {static_cast<Index>(rows.ids.size()), static_cast<Index>(ask.size())});
    const PackedBatch tokens{.ids = rows.ids, .positions = rows.positions, .cu_seqlens = {}, .target_rows = {}, .targets = {}, .weights = {}, .samples = {}, .draws = {}};
    embed(device, weights, tokens, ops::Dropout{}, scratch.stream);                                                               // (R, C)
    BlockLayer::Positions::prepare(device, rows.positions, scratch.block.angles);
    for (std::size_t l = 0; l < weights.blocks.size(); ++l)
      weights.blocks[l].infer(device, rows, scratch.stream, cache.layer(static_cast<int>(l)), scratch.block, input...);           // (R, C)
    weights.norm.forward(device, scratch.stream, scratch.block.normed, scratch.block.norm);                                       // (R, C)
    ops::gather(device, scratch.block.normed, ask, scratch.head_inputs);                                                          // (B, C)
    logits_of(scratch.head_inputs, scratch.logits);                                                                                   // (B, P)
  }

  /// Of the rows that infer ran last, what the head takes.
  static auto hidden(const InferenceScratch& scratch) { return scratch.block.normed; }                                            // (R, C)

 private:
  /// y (T, C) = embeddings of tokens, and of positions where they are learned.
  template <class Weights>
  static void embed(Device& device, const Weights& weights, const PackedBatch& batch, const ops::Dropout& dropout, Rows<Stream, C> y) {
    if constexpr (learns_positions) {
      ops::embed(device, batch, weights.tokens, weights.positions, dropout, y);
    } else {
      ops::gather(device, weights.tokens, batch.ids, y);
      if (dropout.active()) ops::apply_dropout(device, batch, dropout, y, y);
    }
  }
  void embed_backward(const PackedBatch& batch, const ops::Dropout& dropout, Rows<Stream, C> dy, Gradients& gradients) const {
    if constexpr (learns_positions) {
      ops::embed_backward(device(), batch, dropout, dy, gradients.tokens, gradients.positions);
    } else {
      if (dropout.active()) ops::apply_dropout(device(), batch, dropout, dy, dy);
      ops::scatter_add(device(), dy, batch.ids, gradients.tokens);
    }
  }

  const BlockLayer& block(int layer) const { return weights().blocks[static_cast<std::size_t>(layer)]; }

  /// Calls body(views of n rows, which rows of the batch, index of the first target) for the target rows, head_rows at a time.
  template <class Body>
  void for_head_rows(const PackedBatch& batch, const Scratch& scratch, Body&& body) const {
    const auto total = static_cast<Index>(batch.target_rows.size());
    for (Index first = 0; first < total; first += head_rows) {
      const Index n = std::min(head_rows, total - first);
      Scratch part = scratch;
      part.head_inputs.rows = part.head_gradients.rows = part.logits.rows = n;
      part.losses = scratch.losses.slice(first, n);
      if constexpr (std::is_same_v<Act, Stream>) part.logit_slopes.data = part.logits.data;
      part.logit_slopes.rows = n;
      body(part, batch.target_rows.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(n)), first);
    }
  }
};

}  // namespace terse::models
