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
#include <terse/dist/buckets.hpp>
#include <terse/dist/collective.hpp>
#include <terse/dist/trace.hpp>
#include <terse/nn/model.hpp>
#include <terse/ops/cross_entropy/cpu.hpp>
#include <terse/ops/dropout/op.hpp>
#include <terse/ops/overflow/cpu.hpp>
#include <terse/ops/reduce/cpu.hpp>

namespace terse::dist {

/// One of the micro-batches of a rank and step, by what is asked of it. Pointers are into the device's memory.
struct MicroBatch {
  std::int32_t number = 0;              ///< from 0
  bool is_last = false;                 ///< of the rank and step: its gradients are summed over ranks while it runs; until `reduce` the ranks say nothing else to each other
  const float* loss_scale = nullptr;    ///< what the loss is multiplied by; nullptr: 1
  double* loss = nullptr;               ///< where the loss goes, unscaled
  ops::Overflow* overflow = nullptr;    ///< where a gradient that isn't finite is noted, unless one is; nullptr: nobody looks
};

/// How gradients become their sum over ranks.
struct ReduceOptions {
  long tree_leaves = 0;          ///< of reproducible sums: the micro-batches of a rank and step, a power of two; 0: gradients are added as they come
  std::size_t bucket_bytes = 0;  ///< that are summed at a time, behind backward; 0: default_bucket_bytes
  bool scatters = false;         ///< each rank gets the sums of its shard alone: for ShardedAdamW, since other optimizers would read what isn't summed
  Dtype dtype = Dtype::f32;      ///< what ranks send each other, f32 or bf16: half the bytes, each gradient rounded to 8 significant bits before the sum and after it
};

/// A model trained by several ranks, each on its own micro-batches; gradients are summed over ranks once a step.
///
/// The weights of each batch carry the mean over micro-batches and ranks, so the sum is the mean. Where the model's backward tells which gradients are final
/// (nn/model.hpp), they are summed in buckets while it still runs.
/// Owns the flat gradient (stream's dtype) and the activations; both are taken at construction, for micro-batches of up to `capacity`.
///
/// With `tree_leaves` each micro-batch's gradient is a leaf of one binary tree over
/// all micro-batches of the step: ranks hold neighbouring leaves, and all_reduce goes on where they end. So the sum has the same bits however
/// ranks and accumulation divide the step, for log2(tree_leaves) more gradient buffers, and none is summed before backward ends.
template <nn::TrainableModel Model>
class DistributedDataParallel {
 public:
  using Stream = typename Model::Stream;
  using Device = typename Model::Device;

  /// Bytes of the gradient, of the partial sums that `tree_leaves` asks for, and of what ranks send each other where that is bfloat16.
  static constexpr std::size_t gradient_bytes(long tree_leaves = 0, bool sends_bfloat16 = false) {
    const auto values = static_cast<std::size_t>(Model::flat_size);
    return static_cast<std::size_t>(1 + partial_sums(tree_leaves)) * values * sizeof(Stream) + (sends_bfloat16 ? round_up(values * sizeof(bfloat16), alignment_bytes) : 0);
  }
  /// Activations kept from forward to backward, for micro-batches of up to `capacity`.
  static constexpr std::size_t saved_bytes(Extent capacity) { return bytes_needed<typename Model::Saved>(BatchStaging::extent(capacity)); }
  /// Memory that each layer overwrites, the batch itself where the device has its own copy of it, and a few numbers.
  static constexpr std::size_t scratch_bytes(Extent capacity) {
    return bytes_needed<typename Model::Scratch>(BatchStaging::extent(capacity)) + BatchStaging::bytes(capacity) +
           round_up(sizeof(ops::FlatRange) * Model::table.size(), alignment_bytes) + alignment_bytes;
  }

  /// Every rank's parameters become rank 0's.
  /// Errors     Failure::usage: tree_leaves isn't a power of two; the dtype is another one, or bf16 with tree_leaves, whose bits it would spoil
  DistributedDataParallel(Model& model, Communicator& communicator, Extent capacity, const ReduceOptions& options = {})
      : model_(&model),
        communicator_(&communicator),
        shard_(shard_of(options, communicator)),
        sum_(model.device(), collective_, buckets_of<Stream>(Model::flat_size, options.bucket_bytes, communicator.size()), !shard_.is_whole()),
        staging_(model.device(), capacity),
        memory_(model.device().allocate(gradient_bytes(checked(options).tree_leaves, sends_bfloat16(options, communicator)) + saved_bytes(capacity) + scratch_bytes(capacity) - BatchStaging::bytes(capacity))),
        capacity_(capacity),
        tree_leaves_(options.tree_leaves),
        collective_(model.device(), communicator) {
    Arena arena(memory_.data(), memory_.bytes());
    flat_gradient_ = arena.take<Stream>(Model::flat_size);
    for (int level = 0; level < partial_sums(tree_leaves_); ++level) partial_sums_[static_cast<std::size_t>(level)] = arena.take<Stream>(Model::flat_size);
    if (sends_bfloat16(options, communicator)) sum_.send_as(arena.take<bfloat16>(Model::flat_size));
    nn::bind(gradients_, flat_gradient_);
    carve(arena, saved_, BatchStaging::extent(capacity));
    carve(arena, scratch_, BatchStaging::extent(capacity));
    ranges_ = arena.take<ops::FlatRange>(static_cast<Index>(Model::table.size()));
    call_ = arena.take<Call>(1);
    send_ranges();
    broadcast_parameters();
    clear();
    if constexpr (Device::runs_behind) sum_.finish(nullptr), gather_parameters();  // NCCL connects, and takes its memory, at the first call of a kind
  }
  DistributedDataParallel(const DistributedDataParallel&) = delete;
  DistributedDataParallel& operator=(const DistributedDataParallel&) = delete;

  Model& model() const { return *model_; }
  Communicator& communicator() const { return *communicator_; }
  /// For what else the ranks share of the device's memory.
  Collective<Device>& collective() { return collective_; }
  /// The part of the flat buffers whose gradients this rank gets the sums of.
  const Shard& shard() const { return shard_; }
  /// This rank's gradient; after `reduce` the sum over ranks, in its shard. Flat, as the model's table describes it.
  Stream* gradient() const { return flat_gradient_; }

  /// Every rank takes from each the parameters of its shard.
  void gather_parameters() {
    if (shard_.is_whole()) return;
    const Buckets& buckets = shard_.buckets;
    for (Index bucket = 0; bucket < buckets.count(); ++bucket) collective_.gather_slices(model_->flat() + buckets.first(bucket), buckets.size(bucket));
  }
  /// Every rank's parameters become rank 0's, again.
  void broadcast_parameters() { collective_.broadcast(model_->flat(), Model::flat_size); }

  /// Gradients become zero: at the start of a step, before the first backward.
  void clear() {
    leaves_ = 0, leaf_is_open_ = false;
    is_reduced_ = false;
    collective_.wait();  // of a step that was given up
    sum_.start(flat_gradient_);
    ops::fill(model_->device(), flat_gradient_, Model::flat_size, Stream{});
  }

  /// Spans of what is queued from now on go to `trace`, which must outlive this; nullptr: to none.
  void trace(Trace<Device>* trace) { trace_ = trace; }
  /// Queues ops as a span of that name, which is a literal.
  template <class Ops>
  void traced(const char* name, Ops&& ops) {
    if (trace_ == nullptr) return ops();
    const auto begin = trace_->now(Lane::ops);
    ops();
    trace_->add(name, Lane::ops, begin);
  }

  /// Adds the gradient of the batch's loss, times micro.loss_scale; only queued.
  /// Errors     Failure::usage: the step's sums have begun; loss_terms.r_drop of a batch whose target rows aren't twins
  void backward(const PackedBatch& batch, const ops::DropoutPlan& dropout, const MicroBatch& micro) {
    if (sum_.has_begun()) fail(Failure::usage, "backward after a step's last micro-batch: its gradients are summed already; reduce() and clear() come first");
    const PackedBatch& here = use(batch);
    looked_from_ = Model::flat_size;
    if (tree_leaves_ > 0) open_leaf();
    traced("forward", [&] { model_->forward(here, dropout, saved_, scratch_); });
    traced("backward", [&] {
      run_backward(here, dropout, micro);
      if (micro.overflow != nullptr) find_overflow(0, micro);
    });
    ops::weighted_sum(model_->device(), here.weights, scratch_.losses, micro.loss);
  }
  /// The same for a loop of one's own: waits for the device, and returns the loss.
  double backward(const PackedBatch& batch, const ops::DropoutPlan& dropout = {}, float loss_scale = 1) {
    model_->device().copy_from_host(&call_->loss_scale, &loss_scale, sizeof loss_scale);
    backward(batch, dropout, MicroBatch{.loss_scale = &call_->loss_scale, .loss = &call_->result});
    return result();
  }

  /// The batch's loss, without dropout, goes to *loss, in the device's memory: only queued.
  void evaluate(const PackedBatch& batch, double* loss) {
    const PackedBatch& here = use(batch);
    model_->forward(here, ops::DropoutPlan{}, saved_, scratch_);
    model_->loss(here, saved_, scratch_);
    ops::weighted_sum(model_->device(), here.weights, scratch_.losses, loss);
  }
  /// The same for a loop of one's own: waits for the device, and returns the loss.
  double evaluate(const PackedBatch& batch) {
    evaluate(batch, &call_->result);
    return result();
  }

  /// Before a loop: matrix products of a micro-batch of this size are planned, where the device plans any, so that none is inside the loop. Nothing runs.
  void rehearse([[maybe_unused]] Index tokens, [[maybe_unused]] Index target_rows) {
    if constexpr (requires { typename Device::Rehearsal; }) {
      const PackedBatch& batch = fit(staging_.rehearsal_batch(tokens, capacity_.sequences, target_rows));
      const std::pair size(batch.ids.size(), batch.target_rows.size());
      if (rehearsed_.contains(size)) return;
      const typename Device::Rehearsal rehearsal(model_->device());
      model_->forward(batch, ops::DropoutPlan{}, saved_, scratch_);
      run_backward(batch, ops::DropoutPlan{}, MicroBatch{});
      rehearsed_.insert(size);
    }
  }

  /// Gradients become their sum over ranks; those outside this rank's shard are left open. Once a step.
  /// Errors     Failure::usage: again before `clear`; fewer micro-batches than tree_leaves
  void reduce() {
    if (is_reduced_) fail(Failure::usage, "reduce() twice in a step: clear() begins the next one");
    is_reduced_ = true;
    close_leaf();
    if (leaves_ != tree_leaves_) fail(Failure::usage, "reduce after ", leaves_, " micro-batches: their tree has ", tree_leaves_);
    if (tree_leaves_ > 0) sum_.start(flat_gradient_);
    sum_.finish(trace_);
  }

  /// The global norm of the gradient; not finite where any gradient is not. Waits for the device.
  double gradient_norm() {
    double total = 0;
    shard_.for_each([&](Index at, Index, Index count, Index) {
      ops::sum_of_squares(model_->device(), flat_gradient_ + at, count, &call_->result);
      total += result();
    });
    if (!shard_.is_whole()) communicator_->all_reduce(std::span(&total, 1));
    return std::sqrt(total);
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

  /// What the model tells of a gradient that is final goes to the other ranks, with what else is as far.
  struct BeginsSum {
    DistributedDataParallel* ddp;
    const MicroBatch* micro;
    void operator()(auto& layer) const {
      const auto* const parameters = static_cast<const Stream*>(nn::first_parameter(layer));
      if (parameters == nullptr || !ddp->sums_behind(*micro)) return;
      const Index first = parameters - ddp->flat_gradient_;
      if (!ddp->sum_.can_begin(first)) return;
      if (micro->overflow != nullptr) ddp->find_overflow(first, *micro);
      ddp->sum_.begin(first, ddp->trace_);
    }
  };
  bool sums_behind(const MicroBatch& micro) const { return micro.is_last && tree_leaves_ == 0 && communicator_->size() > 1; }

  void run_backward(const PackedBatch& batch, const ops::DropoutPlan& dropout, const MicroBatch& micro) {
    const BeginsSum begins_sum{this, &micro};
    if constexpr (requires { model_->backward(batch, dropout, micro.loss_scale, saved_, scratch_, gradients_, begins_sum); })
      model_->backward(batch, dropout, micro.loss_scale, saved_, scratch_, gradients_, begins_sum);
    else
      model_->backward(batch, dropout, micro.loss_scale, saved_, scratch_, gradients_);
  }

  /// In the parameters from `first` on that weren't looked at: none of them is being summed yet.
  void find_overflow(Index first, const MicroBatch& micro) {
    if (first >= looked_from_) return;
    const auto parameter_at = [](Index offset) { return std::ranges::lower_bound(Model::table, offset, {}, &nn::ParameterInfo::offset) - Model::table.begin(); };
    ops::find_overflow(model_->device(), used_.cu_seqlens, scratch_.dstream, flat_gradient_, ranges_, parameter_at(first), parameter_at(looked_from_), micro.number,
                       micro.overflow);
    looked_from_ = first;
  }

  static Shard shard_of(const ReduceOptions& options, const Communicator& communicator) {
    if (!options.scatters || communicator.size() == 1) return Shard::whole(Model::flat_size);
    return {buckets_of<Stream>(Model::flat_size, options.bucket_bytes, communicator.size()), communicator.rank(), communicator.size()};
  }

  void send_ranges() {
    std::array<ops::FlatRange, Model::table.size()> ranges;
    for (std::size_t i = 0; i < ranges.size(); ++i) ranges[i] = {Model::table[i].offset, Model::table[i].size()};
    model_->device().copy_from_host(ranges_, ranges.data(), sizeof ranges);
  }

  static constexpr int partial_sums(long tree_leaves) { return tree_leaves > 0 ? static_cast<int>(std::bit_width(static_cast<unsigned long>(tree_leaves))) - 1 : 0; }
  static const ReduceOptions& checked(const ReduceOptions& options) {
    if (options.tree_leaves < 0 || (options.tree_leaves > 0 && !std::has_single_bit(static_cast<unsigned long>(options.tree_leaves))))
      fail(Failure::usage, "reproducible sums need a power of two of micro-batches a rank and step: ", options.tree_leaves, " given");
    if (options.dtype != Dtype::f32 && options.dtype != Dtype::bf16) fail(Failure::usage, "gradients are summed over ranks in fp32 or bf16, not in ", name_of(options.dtype));
    if (options.dtype != Dtype::f32 && options.tree_leaves > 0) fail(Failure::usage, "reproducible sums are in fp32: in ", name_of(options.dtype), " they would depend on the number of ranks");
    return options;
  }
  static bool sends_bfloat16(const ReduceOptions& options, const Communicator& communicator) { return options.dtype == Dtype::bf16 && communicator.size() > 1; }

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

  static bool has_twins(const PackedBatch& batch) {
    const auto& targets = batch.targets;
    if (targets.size() % 2 != 0) return false;
    for (std::size_t n = 0; n < targets.size(); n += 2)
      if (targets[n] != targets[n + 1]) return false;
    return true;
  }

  const PackedBatch& use(const PackedBatch& batch) {
    if (batch.tokens() > capacity_.tokens)
      fail(Failure::internal, "a micro-batch of ", batch.tokens(), " tokens exceeds the planned ", capacity_.tokens);
    if (batch.loss_terms.r_drop > 0 && !has_twins(batch))
      fail(Failure::usage, "r_drop ", batch.loss_terms.r_drop, ": the batch's target rows aren't twins; add its samples with text::BatchStorage::add_twins");
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
  Shard shard_;
  BucketedSum<Device, Stream> sum_;
  BatchStaging staging_;
  typename Device::Memory memory_;
  Extent capacity_;
  long tree_leaves_, leaves_ = 0;
  bool leaf_is_open_ = false, is_reduced_ = false;
  Index looked_from_ = Model::flat_size;  // for overflows, in the parameters from here on
  PackedBatch used_{};                // the newest, in the device's memory
  ops::FlatRange* ranges_ = nullptr;  // of the parameters
  Call* call_ = nullptr;
  Trace<Device>* trace_ = nullptr;
  Stream* flat_gradient_ = nullptr;
  std::array<Stream*, 32> partial_sums_{};
  std::set<std::pair<std::size_t, std::size_t>> rehearsed_;  // tokens and target rows
  typename Model::Gradients gradients_;
  typename Model::Saved saved_;
  typename Model::Scratch scratch_;
  Collective<Device> collective_;  // the last member: sums that were begun end before the memory goes
};

}  // namespace terse::dist
