#pragma once
#include <terse/dist/ddp.hpp>
#include <terse/optim/adamw.hpp>

namespace terse::dist {

/// AdamW of a model that ranks train together, with each rank's part of a data parallel model's shard (Rajbhandari et al. 2020, "ZeRO", arXiv:1910.02054, stage 1): moments and master
/// weights are kept, and parameters updated, by range; then every rank takes all parameters. Where the model isn't sharded (ReduceOptions::scatters) each rank does all of it.
///
/// The parameters are those of the unsharded run: each value's gradient is the same sum (NCCL promises no order above two ranks), and the norm, whose partial sums are added in another
/// order, differs by the rounding of a double.
template <nn::TrainableModel Model>
class ShardedAdamW : public optim::AdamW<Model> {
  using Base = optim::AdamW<Model>;

 public:
  using Stream = typename Model::Stream;

  /// `ddp` must outlive it.
  /// Errors     Failure::device: out of memory
  explicit ShardedAdamW(DistributedDataParallel<Model>& ddp) : Base(ddp.model(), ddp.shard()), ddp_(&ddp) {}

  /// One step from the gradient that `ddp.reduce` left: unscaled, clipped by the norm over all ranks' shards, skipped on every rank where any isn't finite. Only queued.
  void step(const optim::UpdateRules& rules) {
    this->measure(ddp_->gradient());
    if (!this->shard().is_whole()) ddp_->collective().all_reduce(this->sums_of_squares(), this->shard().buckets.count());
    this->update(ddp_->gradient(), rules);
    ddp_->gather_parameters();
  }
  /// Every rank's parameters become those of the master copies: after these were loaded or initialised.
  void give_parameters() { Base::give_parameters(), ddp_->gather_parameters(); }

 private:
  DistributedDataParallel<Model>* ddp_;
};

}  // namespace terse::dist
