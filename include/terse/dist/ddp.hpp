#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include <terse/core/arena.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/dist/communicator.hpp>
#include <terse/nn/model.hpp>
#include <terse/ops/dropout/op.hpp>
#include <terse/ops/reduce/cpu.hpp>

namespace terse::dist {

/// A model trained by several ranks, each on its own micro-batches; gradients are summed over ranks once a step.
///
/// The weights of each batch carry the mean over micro-batches and ranks, so the sum is the mean.
/// Owns the flat gradient (stream's dtype) and the activations; both are taken at construction, for micro-batches of up to `capacity`.
///
/// With `tree_leaves` (the micro-batches of a rank and step, a power of two) each micro-batch's gradient is a leaf of one binary tree over
/// all micro-batches of the step: ranks hold neighbouring leaves, and all_reduce goes on where they end. So the sum has the same bits however
/// ranks and accumulation divide the step, for log2(tree_leaves) more gradient buffers.
template <nn::TrainableModel Model>
class DistributedDataParallel {
 public:
  using Stream = typename Model::Stream;

  /// Bytes of the gradient, and of the partial sums that `tree_leaves` asks for.
  static constexpr std::size_t gradient_bytes(long tree_leaves = 0) {
    return static_cast<std::size_t>(1 + partial_sums(tree_leaves)) * static_cast<std::size_t>(Model::flat_size) * sizeof(Stream);
  }
  /// Activations kept from forward to backward, for micro-batches of up to `capacity`.
  static constexpr std::size_t saved_bytes(Extent capacity) { return bytes_needed<typename Model::Saved>(capacity); }
  /// Memory that each layer overwrites.
  static constexpr std::size_t scratch_bytes(Extent capacity) { return bytes_needed<typename Model::Scratch>(capacity); }

  /// Every rank's parameters become rank 0's. `tree_leaves` 0: gradients are added as they come.
  /// Errors     Failure::usage: tree_leaves isn't a power of two
  DistributedDataParallel(Model& model, Communicator& communicator, Extent capacity, long tree_leaves = 0)
      : model_(&model),
        communicator_(&communicator),
        memory_(model.device().allocate(gradient_bytes(checked(tree_leaves)) + saved_bytes(capacity) + scratch_bytes(capacity))),
        capacity_(capacity),
        tree_leaves_(tree_leaves) {
    Arena arena(memory_.data(), memory_.bytes());
    flat_gradient_ = arena.take<Stream>(Model::flat_size);
    for (int level = 0; level < partial_sums(tree_leaves); ++level) partial_sums_[static_cast<std::size_t>(level)] = arena.take<Stream>(Model::flat_size);
    nn::bind(gradients_, flat_gradient_);
    carve(arena, saved_, capacity);
    carve(arena, scratch_, capacity);
    broadcast_parameters();
    clear();
  }

  Model& model() const { return *model_; }
  Communicator& communicator() const { return *communicator_; }
  /// This rank's gradient; after `reduce` the sum over ranks. Flat, as the model's table describes it.
  Stream* gradient() const { return flat_gradient_; }

  /// Every rank's parameters become rank 0's, again.
  void broadcast_parameters() {
    communicator_->broadcast(std::as_writable_bytes(std::span(model_->flat(), static_cast<std::size_t>(Model::flat_size))), 0);
  }

  /// Gradients become zero: at the start of a step.
  void clear() {
    leaves_ = 0, leaf_is_open_ = false;
    ops::fill(model_->device(), flat_gradient_, Model::flat_size, Stream{});
  }

  /// Adds loss_scale times the gradient of the batch's loss; returns the loss. No communication.
  double backward(const PackedBatch& batch, const ops::DropoutPlan& dropout, float loss_scale) {
    use(batch);
    if (tree_leaves_ > 0) open_leaf();
    model_->forward(batch, dropout, saved_, scratch_);
    return model_->backward(batch, dropout, static_cast<Stream>(loss_scale), saved_, scratch_, gradients_);
  }

  /// The batch's loss, without dropout; row_losses() then holds each target row's.
  double evaluate(const PackedBatch& batch) {
    use(batch);
    model_->forward(batch, ops::DropoutPlan{}, saved_, scratch_);
    return model_->loss(batch, saved_, scratch_);
  }
  /// Of the last batch: the loss of each target row, in nats.
  std::span<const Stream> row_losses() const { return {scratch_.losses.data, static_cast<std::size_t>(scratch_.losses.rows)}; }

  /// After backward: the first document with a gradient that is not finite, if any. Gradients of the residual stream stay inside
  /// their document, so this tells the sample that overflowed.
  std::optional<Index> overflowed_document(const PackedBatch& batch) const {
    if (ops::all_finite(model_->device(), scratch_.dstream.data, scratch_.dstream.size())) return std::nullopt;
    for (Index b = 0; b < batch.sequences(); ++b) {
      const Index first = batch.cu_seqlens[static_cast<std::size_t>(b)], end = batch.cu_seqlens[static_cast<std::size_t>(b + 1)];
      const auto rows = scratch_.dstream.slice(first, end - first);
      if (!ops::all_finite(model_->device(), rows.data, rows.size())) return b;
    }
    return std::nullopt;
  }

  /// The parameter nearest the loss whose gradient is not finite: where an overflow began.
  std::optional<std::string_view> overflowed_parameter() const {
    for (auto parameter = Model::table.rbegin(); parameter != Model::table.rend(); ++parameter)
      if (!ops::all_finite(model_->device(), flat_gradient_ + parameter->offset, parameter->size())) return parameter->name.view();
    return std::nullopt;
  }

  /// Gradients become their sum over ranks.
  void reduce() {
    close_leaf();
    communicator_->all_reduce(std::span(flat_gradient_, static_cast<std::size_t>(Model::flat_size)));
  }

  /// The global norm of the gradient; not finite where any gradient is not.
  double gradient_norm() const { return std::sqrt(ops::sum_of_squares(model_->device(), flat_gradient_, Model::flat_size)); }

 private:
  static constexpr int partial_sums(long tree_leaves) { return tree_leaves > 0 ? static_cast<int>(std::bit_width(static_cast<unsigned long>(tree_leaves))) - 1 : 0; }
  static long checked(long tree_leaves) {
    if (tree_leaves < 0 || (tree_leaves > 0 && !std::has_single_bit(static_cast<unsigned long>(tree_leaves))))
      fail(Failure::usage, "reproducible sums need a power of two of micro-batches a rank and step: ", tree_leaves, " given");
    return tree_leaves;
  }

  void open_leaf() {
    close_leaf();
    leaf_is_open_ = true;
    if (leaves_ > 0) ops::fill(model_->device(), flat_gradient_, Model::flat_size, Stream{});
  }

  /// Adds the finished leaf to the partial sums as a binary counter counts: two of a height become one of the next.
  void close_leaf() {
    if (!std::exchange(leaf_is_open_, false)) return;
    std::size_t level = 0;
    for (; (leaves_ >> level & 1) != 0; ++level) ops::add(model_->device(), partial_sums_[level], flat_gradient_, Model::flat_size);
    if (++leaves_ == tree_leaves_) return;
    std::swap(flat_gradient_, partial_sums_[level]);
    nn::bind(gradients_, flat_gradient_);
  }

  void use(const PackedBatch& batch) {
    if (batch.tokens() > capacity_.tokens)
      fail(Failure::internal, "a micro-batch of ", batch.tokens(), " tokens exceeds the planned ", capacity_.tokens);
    shrink(saved_, {batch.tokens(), batch.sequences()});
    shrink(scratch_, {batch.tokens(), batch.sequences()});
    scratch_.losses.rows = static_cast<Index>(batch.target_rows.size());
  }

  Model* model_;
  Communicator* communicator_;
  typename Model::Device::Memory memory_;
  Extent capacity_;
  long tree_leaves_, leaves_ = 0;
  bool leaf_is_open_ = false;
  Stream* flat_gradient_ = nullptr;
  std::array<Stream*, 32> partial_sums_{};
  typename Model::Gradients gradients_;
  typename Model::Saved saved_;
  typename Model::Scratch scratch_;
};

}  // namespace terse::dist
