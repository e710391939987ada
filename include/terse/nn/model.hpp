#pragma once
/// What the library asks of a model, whoever wrote it; models::Gpt is one, examples/05_own_model.cpp another.
///
/// Write `static_assert(nn::TrainableModel<Mine>);` below a model of your own: the compiler then names the part that is missing.

#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include <terse/core/arena.hpp>
#include <terse/core/dtype.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/core/precision.hpp>
#include <terse/nn/parameters.hpp>
#include <terse/ops/dropout/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::nn {

/// Parameters in one flat buffer with a table of their names and places: enough for initialize, AdamW and safetensors.
/// Derive from nn::Module, and all of it is there.
template <class M>
concept Model = Real<typename M::Parameter> && Real<typename M::Stream> && requires(const M& model) {
  { M::flat_size } -> std::convertible_to<Index>;
  { *M::table.begin() } -> std::convertible_to<ParameterInfo>;
  { model.device() } -> std::same_as<typename M::Device&>;
  { model.flat() } -> std::same_as<typename M::Parameter*>;
};

/// The same layers for the gradients, in the stream's dtype: `Gradients`.
template <class M>
concept HasGradients = Precision<typename M::PrecisionPolicy> && std::is_default_constructible_v<typename M::Gradients> &&
                       requires(typename M::Gradients& gradients) { gradients.parameters(detail::TakesAnyParameter{}); };

/// `Saved`: what backward needs of forward. A group of views with `constexpr void each(auto&& visit, Extent extent)` (core/arena.hpp).
template <class M>
concept HasSaved = ViewGroup<typename M::Saved>;

/// `Scratch`: what a step overwrites. A group of views, and among them
///
///   Column<Stream> losses       (N <= T) the loss of each target row, in nats; loss and backward fill it
///   Rows<Stream, …> dstream     (T, …) the gradient of each token's row, which never leaves its document: it tells which sample overflowed
template <class M>
concept HasScratch = ViewGroup<typename M::Scratch> && requires(typename M::Scratch& scratch) {
  { scratch.losses } -> std::convertible_to<Column<typename M::Stream>>;
  { scratch.dstream.slice(Index{}, Index{}).data } -> std::convertible_to<const typename M::Stream*>;
};

/// Runs all tokens (T) of a batch, up to what the loss is computed from.
template <class M>
concept HasForward = requires(const M& model, const PackedBatch& batch, const ops::DropoutPlan& dropout, const typename M::Saved& saved,
                              const typename M::Scratch& scratch) { model.forward(batch, dropout, saved, scratch); };

/// After forward: each target row's loss into scratch.losses.
template <class M>
concept HasLoss = requires(const M& model, const PackedBatch& batch, const typename M::Saved& saved, const typename M::Scratch& scratch) { model.loss(batch, saved, scratch); };

/// After forward: the losses as above, and *loss_scale times the gradient of sum over n of weights[n] * loss[n] is added to `gradients`.
/// `loss_scale` is in the device's memory, where it is decided; nullptr: 1. A model whose losses have batch.loss_terms too
/// says `static constexpr bool takes_loss_terms = true`.
///
/// It may take one argument more, a function: called with each layer of `gradients` as soon as it is final, from the last in the table to the first, it lets ranks sum
/// gradients while backward still runs (models/transformer.hpp).
template <class M>
concept HasBackward = requires(const M& model, const PackedBatch& batch, const ops::DropoutPlan& dropout, const float* loss_scale,
                               const typename M::Saved& saved, const typename M::Scratch& scratch, typename M::Gradients& gradients) {
  model.backward(batch, dropout, loss_scale, saved, scratch, gradients);
};

/// A model that train::Trainer, dist::DistributedDataParallel and train::sample_losses take.
///
/// Where its ops take memory of the device (16-bit products, attention), it says how much, else it needn't:
///
///   static constexpr std::size_t workspace_bytes(Index tokens);   // Cpu::reserve_workspace, for micro-batches of up to `tokens`
///   static constexpr std::size_t thread_scratch_bytes();          // Cpu::reserve_thread_scratch
template <class M>
concept TrainableModel = Model<M> && HasGradients<M> && HasSaved<M> && HasScratch<M> && HasForward<M> && HasLoss<M> && HasBackward<M>;

}  // namespace terse::nn
