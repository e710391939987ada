#pragma once
/// GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"), the whole of it.
///
/// Letters: T tokens of a packed batch, C width, H heads, V vocabulary (P padded), N target rows, R rows against a cache.

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <type_traits>

#include <terse/core/arena.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/models/config.hpp>
#include <terse/nn/block.hpp>
#include <terse/nn/module.hpp>
#include <terse/ops/cross_entropy/cpu.hpp>
#include <terse/ops/embedding/cpu.hpp>
#include <terse/ops/gather/cpu.hpp>
#include <terse/ops/workspace/cpu.hpp>

namespace terse::models {

/// The parameters of a GPT, as T: its weights, or (T = Stream) their gradients.
template <class Config, Precision P, Real T, template <class, Index, Index> class LinearLayer = nn::Linear>
struct GptParameters {
  static constexpr Index C = Config::width, V = Config::padded_vocabulary;

  Matrix<T, V, C> tokens;                  // (P, C), also the head's weight (tied)
  Matrix<T, Config::context, C> positions; // (context, C)
  std::array<nn::Block<Config, P, T, LinearLayer>, Config::layers> blocks;
  nn::Norm<T, C> norm;

  /// Names and order of GPT-2's checkpoints.
  constexpr void parameters(auto&& visit) {
    visit("wte.weight", tokens, nn::ParameterTraits{.deviation = 0.02f, .saved_rows = Config::vocabulary});
    visit("wpe.weight", positions, nn::ParameterTraits{.deviation = 0.02f});
    visit("h", blocks), visit("ln_f", norm);
  }
};

/// What Gpt can't be made of gives these words and nothing more.
template <class ConfigType, class P, class DeviceType>
class Gpt {
  static constexpr bool config = ModelConfig<ConfigType>, precision = Precision<P>;
  static_assert(config, "terse: Gpt: the first argument is a struct derived from models::Config<models::GptConfig{...}>");
  static_assert(precision, "terse: Gpt: the second argument is a precision policy: Fp32, Fp16Mixed or Bf16Mixed");

 public:
  explicit Gpt(auto&&...) {}
};

/// Weights and gradients of a GPT, flat.
template <class Config, Precision P, class Device>
using GptModule = nn::Module<GptParameters<Config, P, typename P::Parameter>, GptParameters<Config, P, typename P::Stream>, P, Device>;

/// A GPT of the sizes in `Config` (models/config.hpp), in the dtypes of a precision policy, on a device.
///
/// Owns its parameters (flat, zero at first: nn::initialize or io::read_weights fill them). What a step needs besides, `Saved` and `Scratch`,
/// the caller carves once for its largest batch (core/arena.hpp).
///
///   forward   ids -> the last norm's output, for all rows
///   loss      target rows -> cross-entropy
///   backward  loss and its gradient, added to `Gradients`
///   infer     rows against a cache -> logits, batch-invariant
template <ModelConfig ConfigType, Precision P, class DeviceType>
class Gpt<ConfigType, P, DeviceType> : public GptModule<ConfigType, P, DeviceType> {
  using Module = GptModule<ConfigType, P, DeviceType>;

 public:
  using Config = ConfigType;
  using Act = typename P::Activation;
  using typename Module::Device, typename Module::Parameter, typename Module::Stream, typename Module::Gradients;
  using Module::Module, Module::device, Module::weights;
  using BlockLayer = nn::Block<Config, P, Parameter>;
  static constexpr Index C = Config::width, V = Config::vocabulary, padded_V = Config::padded_vocabulary;
  static constexpr std::string_view file_prefix = "transformer.";  ///< of names in GPT2LMHeadModel's files

  /// Target rows whose logits exist at one time: at most 64 MiB of them.
  static constexpr Index head_rows = std::clamp<Index>((Index{16} << 20) / padded_V / 32 * 32, 32, 1024);

  /// What backward needs of forward.
  struct Saved {
    Rows<Stream, C> embedded;  // (T, C)
    std::array<typename BlockLayer::Saved, Config::layers> blocks;
    ops::LayerNorm::Saved<Stream> norm;
    Rows<Act, C> last;  // (T, C) after the last norm

    constexpr void each(auto&& visit, Extent extent) {
      visit(embedded, extent.tokens);
      for (auto& block : blocks) block.each(visit, extent);
      norm.each(visit, extent), visit(last, extent.tokens);
    }
    /// The stream that enters block `layer`; of `layers`, the stream that leaves the last one.
    Rows<Stream, C> stream(int layer) const { return layer == 0 ? embedded : blocks[static_cast<std::size_t>(layer - 1)].out; }
  };

  /// Memory that a step overwrites.
  struct Scratch {
    nn::BlockScratch<Config, P> block;
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
    return std::max({Needs::template product<Parameter>(tokens, 4 * C, C), Needs::template product<Parameter>(std::min(tokens, head_rows), padded_V, C),
                     Needs::column_sums(4 * C, 1), Needs::column_sums(C, 2), Needs::added_rows(tokens), Needs::attention(tokens, Config::heads)});
  }
  /// Bytes that attention takes for each thread, in training or against a cache.
  static constexpr std::size_t thread_scratch_bytes() {
    return std::max(ops::Workspace<Device>::template attention_of_thread<Stream, C / Config::heads>(Config::context),
                    static_cast<std::size_t>(Config::context) * sizeof(Stream));
  }

  /// Runs the batch up to the last norm.
  void forward(const PackedBatch& batch, const ops::DropoutPlan& dropout, const Saved& saved, const Scratch& scratch) const {
    ops::embed(device(), batch, weights().tokens, weights().positions, dropout.at(ops::DropoutSite::embedding), saved.embedded);   // (T, C)
    for (int l = 0; l < Config::layers; ++l)
      block(l).forward(device(), batch, dropout, l, saved.stream(l), saved.blocks[static_cast<std::size_t>(l)], scratch.block); // (T, C)
    weights().norm.forward(device(), saved.stream(Config::layers), saved.last, saved.norm);                                       // (T, C)
  }

  /// Loss of each target row, into scratch.losses. Needs forward's `saved`.
  void loss(const PackedBatch& batch, const Saved& saved, const Scratch& scratch) const {
    for_head_rows(batch, scratch, [&](const Scratch& part, std::span<const std::int32_t> rows, Index first) {
      ops::gather(device(), saved.last, rows, part.head_inputs);                                                                // (n, C)
      ops::matmul_transposed(device(), part.head_inputs, weights().tokens, part.logits);                                         // (n, P)
      ops::cross_entropy<V>(device(), part.logits, batch.targets.subspan(static_cast<std::size_t>(first), rows.size()), part.losses);
    });
  }

  /// Loss as above, and *loss_scale times the gradient of sum over n of weights[n] * loss[n] is added to `gradients`: head and softmax on target rows only.
  /// `is_final` hears of each layer whose gradient is final, from the last to the first.
  template <class IsFinal = nn::Unheard>
  void backward(const PackedBatch& batch, const ops::DropoutPlan& dropout, const float* loss_scale, const Saved& saved, const Scratch& scratch,
                Gradients& gradients, IsFinal&& is_final = {}) const {
    const auto dlast = scratch.block.branch;                                                                                    // (T, C)
    ops::clear(device(), dlast);
    for_head_rows(batch, scratch, [&](const Scratch& part, std::span<const std::int32_t> rows, Index first) {
      const auto at = static_cast<std::size_t>(first);
      ops::gather(device(), saved.last, rows, part.head_inputs);                                                                // (n, C)
      ops::matmul_transposed(device(), part.head_inputs, weights().tokens, part.logits);                                         // (n, P)
      ops::cross_entropy_with_gradient<V>(device(), part.logits, batch.targets.subspan(at, rows.size()),
                                          batch.weights.subspan(at, rows.size()), part.losses, part.logit_slopes, loss_scale);  // (n, P)
      ops::matmul(device(), part.logit_slopes, weights().tokens, part.head_gradients);                                           // (n, C)
      ops::matmul_gradient(device(), part.logit_slopes, part.head_inputs, gradients.tokens, Write::accumulate);
      ops::scatter(device(), part.head_gradients, rows, dlast);                                                                 // (T, C)
    });

    weights().norm.backward(device(), saved.stream(Config::layers), saved.norm, dlast, scratch.dstream, Write::overwrite, gradients.norm);
    is_final(gradients.norm);
    for (int l = Config::layers - 1; l >= 0; --l) {
      auto& gradient = gradients.blocks[static_cast<std::size_t>(l)];
      block(l).backward(device(), batch, dropout, l, saved.stream(l), saved.blocks[static_cast<std::size_t>(l)], scratch.block, scratch.dstream, gradient);
      is_final(gradient);
    }
    ops::embed_backward(device(), batch, dropout.at(ops::DropoutSite::embedding), scratch.dstream, gradients.tokens, gradients.positions);
  }

  /// Keys and values of `slots` texts, one cache a layer.
  class Cache {
   public:
    /// Bytes of a cache for so many texts: 2 * layers * slots * context * width values.
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
    nn::BlockInferenceScratch<Config, P> block;
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
    const auto head = [this](auto x, auto logits) { ops::invariant_matmul_transposed(device(), x, weights().tokens, logits); };
    infer_with(device(), weights(), head, rows, ask, cache, scratch);
  }

  /// The lines of infer, for weights whose linear layers may be others (models/quantized_gpt.hpp): head(x, logits) is theirs, `input` what the layers take besides.
  template <class Weights, class Head>
  static void infer_with(Device& device, const Weights& weights, const Head& head, const ops::CacheRows& rows, std::span<const std::int32_t> ask, const Cache& cache,
                         InferenceScratch scratch, const auto&... input) {
    shrink(scratch, {static_cast<Index>(rows.ids.size()), static_cast<Index>(ask.size())});
    const PackedBatch tokens{.ids = rows.ids, .positions = rows.positions, .cu_seqlens = {}, .target_rows = {}, .targets = {}, .weights = {}, .samples = {}, .draws = {}};
    ops::embed(device, tokens, weights.tokens, weights.positions, ops::Dropout{}, scratch.stream);                                // (R, C)
    for (std::size_t l = 0; l < weights.blocks.size(); ++l)
      weights.blocks[l].infer(device, rows, scratch.stream, cache.layer(static_cast<int>(l)), scratch.block, input...);           // (R, C)
    weights.norm.forward(device, scratch.stream, scratch.block.normed, scratch.block.norm);                                       // (R, C)
    ops::gather(device, scratch.block.normed, ask, scratch.head_inputs);                                                          // (B, C)
    head(scratch.head_inputs, scratch.logits);                                                                                    // (B, P)
  }

  /// Of the rows that infer ran last, what the head takes.
  static auto hidden(const InferenceScratch& scratch) { return scratch.block.normed; }                                          // (R, C)

 private:
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
