#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <utility>

#include <terse/core/arena.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/device/staging.hpp>
#include <terse/dist/collective.hpp>
#include <terse/nn/model.hpp>
#include <terse/ops/cross_entropy/cpu.hpp>
#include <terse/ops/dropout/op.hpp>
#include <terse/ops/overflow/cpu.hpp>
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
  using Device = typename Model::Device;

  /// Bytes of the gradient, and of the partial sums that `tree_leaves` asks for.
  static constexpr std::size_t gradient_bytes(long tree_leaves = 0) {
    return static_cast<std::size_t>(1 + partial_sums(tree_leaves)) * static_cast<std::size_t>(Model::flat_size) * sizeof(Stream);
  }
  /// Activations kept from forward to backward, for micro-batches of up to `capacity`.
  static constexpr std::size_t saved_bytes(Extent capacity) { return bytes_needed<typename Model::Saved>(BatchStaging::extent(capacity)); }
  /// Memory that each layer overwrites, the batch itself where the device has its own copy of it, and a few numbers.
  static constexpr std::size_t scratch_bytes(Extent capacity) {
    return bytes_needed<typename Model::Scratch>(BatchStaging::extent(capacity)) + BatchStaging::bytes(capacity) +
           round_up(sizeof(ops::FlatRange) * Model::table.size(), alignment_bytes) + alignment_bytes;
  }

  /// Every rank's parameters become rank 0's. `tree_leaves` 0: gradients are added as they come.
  /// Errors     Failure::usage: tree_leaves isn't a power of two
  DistributedDataParallel(Model& model, Communicator& communicator, Extent capacity, long tree_leaves = 0)
      : model_(&model),
        communicator_(&communicator),
        collective_(model.device(), communicator),
        staging_(model.device(), capacity),
        memory_(model.device().allocate(gradient_bytes(checked(tree_leaves)) + saved_bytes(capacity) + scratch_bytes(capacity) - BatchStaging::bytes(capacity))),
        capacity_(capacity),
        tree_leaves_(tree_leaves) {
    Arena arena(memory_.data(), memory_.bytes());
    flat_gradient_ = arena.take<Stream>(Model::flat_size);
    for (int level = 0; level < partial_sums(tree_leaves); ++level) partial_sums_[static_cast<std::size_t>(level)] = arena.take<Stream>(Model::flat_size);
    nn::bind(gradients_, flat_gradient_);
    carve(arena, saved_, BatchStaging::extent(capacity));
    carve(arena, scratch_, BatchStaging::extent(capacity));
    ranges_ = arena.take<ops::FlatRange>(static_cast<Index>(Model::table.size()));
    call_ = arena.take<Call>(1);
    send_ranges();
    broadcast_parameters();
    clear();
    if constexpr (Device::runs_behind) collective_.all_reduce(flat_gradient_, Model::flat_size);  // NCCL connects, and takes its memory, at the first one
  }

  Model& model() const { return *model_; }
  Communicator& communicator() const { return *communicator_; }
  /// For what else the ranks share of the device's memory.
  Collective<Device>& collective() { return collective_; }
  /// This rank's gradient; after `reduce` the sum over ranks. Flat, as the model's table describes it.
  Stream* gradient() const { return flat_gradient_; }

  /// Every rank's parameters become rank 0's, again.
  void broadcast_parameters() { collective_.broadcast(model_->flat(), Model::flat_size); }

  /// Gradients become zero: at the start of a step.
  void clear() {
    leaves_ = 0, leaf_is_open_ = false;
    ops::fill(model_->device(), flat_gradient_, Model::flat_size, Stream{});
  }

  /// Adds *loss_scale (nullptr: 1) times the gradient of the batch's loss; the loss goes to *loss. Both are in the device's memory: only queued. No communication.
  void backward(const PackedBatch& batch, const ops::DropoutPlan& dropout, const float* loss_scale, double* loss) {
    const PackedBatch& here = use(batch);
    if (tree_leaves_ > 0) open_leaf();
    model_->forward(here, dropout, saved_, scratch_);
    model_->backward(here, dropout, loss_scale, saved_, scratch_, gradients_);
    ops::weighted_sum(model_->device(), here.weights, scratch_.losses, loss);
  }
  /// The same for a loop of one's own: waits for the device, and returns the loss.
  double backward(const PackedBatch& batch, const ops::DropoutPlan& dropout = {}, float loss_scale = 1) {
    model_->device().copy_from_host(&call_->loss_scale, &loss_scale, sizeof loss_scale);
    backward(batch, dropout, &call_->loss_scale, &call_->result);
    return result();
  }

  /// The batch's loss, without dropout, goes to *loss, in the device's memory: only queued.
  void evaluate(const PackedBatch& batch, double* loss) {
    const PackedBatch& here = use(batch);
    model_->forward(here, ops::DropoutPlan{}, saved_, scratch_);
    model_->loss(here, saved_, scratch_);
    ops::weighted_sum(model_->device(), here.weights, scratch_.losses, loss);
  }
  /// The same for a loop of one's own: waits for the device, and returns the loss; row_losses() then gives each target row's.
  double evaluate(const PackedBatch& batch) {
    evaluate(batch, &call_->result);
    return result();
  }
  /// Of the last batch: the loss of each target row, in nats. Waits for the device.
  void row_losses(std::span<Stream> losses) const { model_->device().copy_to_host(losses.data(), scratch_.losses.data, losses.size_bytes()); }

  /// After backward: looks for a gradient that isn't finite, unless *overflow, in the device's memory, holds one. Only queued.
  void find_overflow(std::int32_t micro_batch, ops::Overflow* overflow) const {
    ops::find_overflow(model_->device(), used_.cu_seqlens, scratch_.dstream, flat_gradient_, ranges_, static_cast<Index>(Model::table.size()), micro_batch, overflow);
  }

  /// Before a loop: matrix products of a micro-batch of this size are planned, where the device plans any, so that none is inside the loop. Nothing runs.
  void rehearse([[maybe_unused]] Index tokens, [[maybe_unused]] Index target_rows) {
    if constexpr (requires { typename Device::Rehearsal; }) {
      const PackedBatch& batch = fit(staging_.rehearsal_batch(tokens, capacity_.sequences, target_rows));
      const std::pair size(batch.ids.size(), batch.target_rows.size());
      if (rehearsed_.contains(size)) return;
      const typename Device::Rehearsal rehearsal(model_->device());
      model_->forward(batch, ops::DropoutPlan{}, saved_, scratch_);
      model_->backward(batch, ops::DropoutPlan{}, nullptr, saved_, scratch_, gradients_);
      rehearsed_.insert(size);
    }
  }

  /// Gradients become their sum over ranks.
  void reduce() {
    close_leaf();
    if (leaves_ != tree_leaves_) fail(Failure::usage, "reduce after ", leaves_, " micro-batches: their tree has ", tree_leaves_);
    collective_.all_reduce(flat_gradient_, Model::flat_size);
  }

  /// The global norm of the gradient; not finite where any gradient is not. Waits for the device.
  double gradient_norm() const {
    ops::sum_of_squares(model_->device(), flat_gradient_, Model::flat_size, &call_->result);
    return std::sqrt(result());
  }

 private:
  using BatchStaging = Staging<Device>;

  /// For calls that answer at once.
  struct Call {
    double result;
    float loss_scale;
  };
  double result() const {
    double value = 0;
    model_->device().copy_to_host(&value, &call_->result, sizeof value);
    return value;
  }

  void send_ranges() {
    std::array<ops::FlatRange, Model::table.size()> ranges;
    for (std::size_t i = 0; i < ranges.size(); ++i) ranges[i] = {Model::table[i].offset, Model::table[i].size()};
    model_->device().copy_from_host(ranges_, ranges.data(), sizeof ranges);
  }

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

  /// The batch in the device's memory.
  const PackedBatch& use(const PackedBatch& batch) {
    if (batch.tokens() > capacity_.tokens)
      fail(Failure::internal, "a micro-batch of ", batch.tokens(), " tokens exceeds the planned ", capacity_.tokens);
    return fit(staging_.upload(batch));
  }

  /// Views have as many rows as the batch, which is the device's.
  const PackedBatch& fit(const PackedBatch& batch) {
    used_ = batch;
    const Extent extent{used_.tokens(), static_cast<Index>(used_.cu_seqlens.size()) - 1};
    shrink(saved_, extent);
    shrink(scratch_, extent);
    scratch_.losses.rows = static_cast<Index>(used_.target_rows.size());
    return used_;
  }

  Model* model_;
  Communicator* communicator_;
  Collective<Device> collective_;
  BatchStaging staging_;
  typename Device::Memory memory_;
  Extent capacity_;
  long tree_leaves_, leaves_ = 0;
  bool leaf_is_open_ = false;
  PackedBatch used_{};                // the newest, in the device's memory
  ops::FlatRange* ranges_ = nullptr;  // of the parameters
  Call* call_ = nullptr;
  Stream* flat_gradient_ = nullptr;
  std::array<Stream*, 32> partial_sums_{};
  std::set<std::pair<std::size_t, std::size_t>> rehearsed_;  // tokens and target rows
  typename Model::Gradients gradients_;
  typename Model::Saved saved_;
  typename Model::Scratch scratch_;
};

}  // namespace terse::dist
