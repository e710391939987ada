#pragma once
#include <algorithm>
#include <cstddef>

#include <terse/core/arena.hpp>
#include <terse/core/slice.hpp>
#include <terse/nn/model.hpp>
#include <terse/ops/cast/cpu.hpp>
#include <terse/ops/ema/cpu.hpp>
#include <terse/optim/adamw.hpp>

namespace terse::optim {

/// The exponential moving average (ops/ema/op.hpp) of the weights that an AdamW trains, in full precision: of what it keeps of them, where that is a shard. The model may compute
/// with the average in place of the weights, to be judged.
///
///   optim::Ema ema(model, adamw, {.decay = 0.999});
///   adamw.step(…), ema.step();
///   ema.exchange();                       // the model computes with the average
///   ema.exchange();                       // and with its weights again
///
/// Memory  a value of the stream's dtype for each that AdamW keeps
template <nn::Model Model>
class Ema {
 public:
  using Stream = typename Model::Stream;

  /// Bytes of state: what the memory plan calls ema.
  static constexpr std::size_t bytes(const Shard& shard = Shard::whole(Model::flat_size)) {
    return round_up(static_cast<std::size_t>(std::max<Index>(shard.size(), 1)) * sizeof(Stream), alignment_bytes);
  }

  /// Begins with the weights. `model` is what `adamw` trains; both must outlive it.
  /// Errors     Failure::device: out of memory
  Ema(Model& model, const AdamW<Model>& adamw, const ops::Ema& op) : model_(&model), adamw_(&adamw), op_(op), memory_(model.device().allocate(bytes(adamw.shard()))) {
    restart();
  }

  /// The average becomes the weights: after they were loaded or initialised.
  void restart() {
    for_each([&](Index, Index kept, Index count, const Stream* weights) { ops::cast(model_->device(), weights, average() + kept, count); });
  }
  /// After each step of AdamW, while the model computes with its weights. Only queued.
  void step() {
    const auto* const factors = &adamw_->device_state()->factors;
    for_each([&](Index, Index kept, Index count, const Stream* weights) { ops::ema(model_->device(), op_, factors, count, weights, average() + kept); });
  }
  /// What AdamW keeps of the model's parameters becomes the average, rounded to their dtype; the next time the weights again. Only queued.
  void exchange() {
    for_each([&](Index at, Index kept, Index count, const Stream* weights) {
      if constexpr (!AdamW<Model>::has_master) ops::exchange(model_->device(), model_->flat() + at, average() + kept, count);
      else ops::cast(model_->device(), is_exchanged_ ? weights : average() + kept, model_->flat() + at, count);
    });
    is_exchanged_ = !is_exchanged_;
  }
  /// The model computes with the average.
  bool is_exchanged() const { return is_exchanged_; }

  /// The average of what AdamW keeps; where the model's parameters are the weights themselves, and are exchanged, those weights.
  Stream* average() const { return reinterpret_cast<Stream*>(memory_.data()); }

 private:
  /// body(where in the flat buffer, where in what is kept, how many, their weights).
  template <class Body>
  void for_each(Body&& body) const {
    adamw_->shard().for_each([&](Index at, Index kept, Index count, Index) { body(at, kept, count, adamw_->master() + (AdamW<Model>::has_master ? kept : at)); });
  }

  Model* model_;
  const AdamW<Model>* adamw_;
  ops::Ema op_;
  bool is_exchanged_ = false;
  typename Model::Device::Memory memory_;
};

}  // namespace terse::optim
