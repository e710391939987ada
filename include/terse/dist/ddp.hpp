#pragma once
#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <string_view>

#include <terse/core/arena.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/dist/communicator.hpp>
#include <terse/nn/parameters.hpp>
#include <terse/ops/dropout/op.hpp>
#include <terse/ops/reduce/cpu.hpp>

namespace terse::dist {

/// A model trained by several ranks, each on its own micro-batches; gradients are summed over ranks once a step.
///
/// The weights of each batch carry the mean over micro-batches and ranks, so the sum is the mean.
/// Owns the flat gradient (stream's dtype) and the activations; both are taken at construction, for micro-batches of up to `capacity`.
template <class Model>
class DistributedDataParallel {
 public:
  using Stream = typename Model::Stream;

  /// Bytes it takes, by what they are for.
  static constexpr std::size_t gradient_bytes() { return static_cast<std::size_t>(Model::flat_size) * sizeof(Stream); }
  static constexpr std::size_t saved_bytes(Extent capacity) { return bytes_needed<typename Model::Saved>(capacity); }
  static constexpr std::size_t scratch_bytes(Extent capacity) { return bytes_needed<typename Model::Scratch>(capacity); }

  /// Every rank's parameters become rank 0's.
  DistributedDataParallel(Model& model, Communicator& communicator, Extent capacity)
      : model_(&model),
        communicator_(&communicator),
        memory_(model.device().allocate(gradient_bytes() + saved_bytes(capacity) + scratch_bytes(capacity))),
        capacity_(capacity) {
    Arena arena(memory_.data(), memory_.bytes());
    flat_gradient_ = arena.take<Stream>(Model::flat_size);
    nn::bind(gradients_, flat_gradient_);
    carve(arena, saved_, capacity);
    carve(arena, scratch_, capacity);
    broadcast_parameters();
    clear();
  }

  Model& model() const { return *model_; }
  Communicator& communicator() const { return *communicator_; }
  Stream* gradient() const { return flat_gradient_; }

  void broadcast_parameters() {
    communicator_->broadcast(std::as_writable_bytes(std::span(model_->flat(), static_cast<std::size_t>(Model::flat_size))), 0);
  }

  /// Gradients become zero: at the start of a step.
  void clear() { ops::fill(model_->device(), flat_gradient_, Model::flat_size, Stream{}); }

  /// Adds loss_scale times the gradient of the batch's loss; returns the loss. No communication.
  double backward(const PackedBatch& batch, const ops::DropoutPlan& dropout, float loss_scale) {
    use(batch);
    model_->forward(batch, dropout, saved_, scratch_);
    return model_->backward(batch, dropout, static_cast<Stream>(loss_scale), saved_, scratch_, gradients_);
  }

  /// The batch's loss, without dropout; row_losses() then holds each target row's.
  double evaluate(const PackedBatch& batch) {
    use(batch);
    model_->forward(batch, ops::DropoutPlan{}, saved_, scratch_);
    return model_->loss(batch, saved_, scratch_);
  }
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
  void reduce() { communicator_->all_reduce(std::span(flat_gradient_, static_cast<std::size_t>(Model::flat_size))); }

  /// The global norm of the gradient; not finite where any gradient is not.
  double gradient_norm() const { return std::sqrt(ops::sum_of_squares(model_->device(), flat_gradient_, Model::flat_size)); }

 private:
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
  Stream* flat_gradient_ = nullptr;
  typename Model::Gradients gradients_;
  typename Model::Saved saved_;
  typename Model::Scratch scratch_;
};

}  // namespace terse::dist
