#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/device/host_access.hpp>
#include <terse/dist/ddp.hpp>
#include <terse/dist/sharded_adamw.hpp>
#include <terse/optim/ema.hpp>

namespace terse::train {

/// What a run goes on from besides its numbers: flat buffers, as the model's table describes them, in full precision. `ema`: where weights are averaged.
enum class StateTensor : std::size_t { parameters, first_moments, second_moments, ema };
inline constexpr std::array all_state_tensors{StateTensor::parameters, StateTensor::first_moments, StateTensor::second_moments, StateTensor::ema};

/// Brings a training's buffers to the host and back, whole, whether a device has all of one or each rank its shard. Of shards the host has a copy between
/// `gather` and `release`, and between `write` and `share`.
template <nn::TrainableModel Model>
class StateTensors {
 public:
  using Stream = typename Model::Stream;

  StateTensors(const StateTensors&) = delete;
  StateTensors& operator=(const StateTensors&) = delete;

  /// All must outlive it; `ema` may be none.
  StateTensors(dist::DistributedDataParallel<Model>& ddp, dist::ShardedAdamW<Model>& adamw, const std::optional<optim::Ema<Model>>& ema) : ddp_(&ddp), adamw_(&adamw), ema_(&ema) {}

  /// The run has such a tensor.
  bool has(StateTensor tensor) const { return tensor != StateTensor::ema || ema_->has_value(); }
  /// A device has all of it.
  bool is_whole(StateTensor tensor) const { return adamw_->shard().is_whole() || (!adamw_->has_master && tensor == (is_exchanged() ? StateTensor::ema : StateTensor::parameters)); }

  /// Rank 0 is about to read: every rank calls it.
  void gather(StateTensor tensor) {
    if (!has(tensor) || is_whole(tensor)) return;
    const Shard& shard = adamw_->shard();
    const bool keeps = ddp_->communicator().is_first();  // the others need room for a bucket only
    std::vector<Stream>& all = copy(tensor);
    all.resize(static_cast<std::size_t>(keeps ? Model::flat_size : shard.buckets.each));
    Index kept = 0;
    for (Index bucket = 0; bucket < shard.buckets.count(); ++bucket) {
      const std::span part(all.data() + (keeps ? shard.buckets.first(bucket) : 0), static_cast<std::size_t>(shard.buckets.size(bucket)));
      const Slice mine = shard.of_bucket(bucket);
      if (mine.size() > 0) ddp_->model().device().copy_to_host(part.data() + mine.first, buffer(tensor) + kept, mine.size() * sizeof(Stream));
      kept += static_cast<Index>(mine.size());
      ddp_->communicator().gather_slices(std::as_writable_bytes(part), sizeof(Stream));
    }
    if (!keeps) release(tensor);
  }
  /// The host's copy isn't needed any more.
  void release(StateTensor tensor) { copy(tensor) = {}; }

  /// On rank 0: body(values), which are all there.
  /// Errors     Failure::usage: shards that weren't gathered, or an average that the run doesn't keep
  template <class Body>
  decltype(auto) read(StateTensor tensor, Body&& body) const {
    require(tensor);
    const std::vector<Stream>& all = copies_[static_cast<std::size_t>(tensor)];
    if (is_whole(tensor)) return read_on_host(ddp_->model().device(), static_cast<const Stream*>(buffer(tensor)), Model::flat_size, body);
    if (all.empty()) fail(Failure::usage, "the optimizer is sharded, and its state wasn't gathered: read it in Trainer::on_first");
    return std::forward<Body>(body)(all.data());
  }

  /// On rank 0: body(values) writes them all; `share` follows, on every rank.
  template <class Body>
  void write(StateTensor tensor, Body&& body) {
    require(tensor);
    if (is_whole(tensor)) return write_on_host(ddp_->model().device(), buffer(tensor), Model::flat_size, body);
    copy(tensor).resize(static_cast<std::size_t>(Model::flat_size));
    body(copy(tensor).data());
  }
  /// Every rank takes rank 0's, or its shard of it.
  void share(StateTensor tensor) {
    if (is_whole(tensor)) return ddp_->collective().broadcast(buffer(tensor), Model::flat_size);
    std::vector<Stream>& all = copy(tensor);
    all.resize(static_cast<std::size_t>(Model::flat_size));
    ddp_->communicator().broadcast(std::as_writable_bytes(std::span(all)), 0);
    adamw_->shard().for_each([&](Index at, Index kept, Index count, Index) {
      ddp_->model().device().copy_from_host(buffer(tensor) + kept, all.data() + at, static_cast<std::size_t>(count) * sizeof(Stream));
    });
    release(tensor);
  }

 private:
  void require(StateTensor tensor) const {
    if (!has(tensor)) fail(Failure::usage, "this run averages no weights: TrainOptions::ema is 0");
  }
  std::vector<Stream>& copy(StateTensor tensor) { return copies_[static_cast<std::size_t>(tensor)]; }
  /// The model's parameters are the average, and what the average was, the weights.
  bool is_exchanged() const { return ema_->has_value() && (*ema_)->is_exchanged() && !adamw_->has_master; }
  Stream* buffer(StateTensor tensor) const {
    if (tensor == StateTensor::first_moments) return adamw_->first_moments();
    if (tensor == StateTensor::second_moments) return adamw_->second_moments();
    return (tensor == StateTensor::ema) != is_exchanged() ? (*ema_)->average() : adamw_->master();
  }

  dist::DistributedDataParallel<Model>* ddp_;
  dist::ShardedAdamW<Model>* adamw_;
  const std::optional<optim::Ema<Model>>* ema_;
  std::array<std::vector<Stream>, all_state_tensors.size()> copies_;
};

}  // namespace terse::train
