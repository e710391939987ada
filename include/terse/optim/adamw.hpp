#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <type_traits>

#include <terse/core/arena.hpp>
#include <terse/core/error.hpp>
#include <terse/core/slice.hpp>
#include <terse/device/cpu.hpp>
#include <terse/nn/model.hpp>
#include <terse/ops/adamw/cpu.hpp>
#include <terse/ops/cast/cpu.hpp>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/optim/layer_decay.hpp>
#include <terse/optim/update.hpp>

namespace terse::optim {

/// What isn't a model gives these words and nothing more.
template <class M>
class AdamW {
  static_assert(mistaken<M>, "terse: AdamW: this is no model (nn/model.hpp): it has no flat buffer of parameters; give the whole model, not a layer");

 public:
  explicit AdamW(M&) {}
};

/// AdamW over a model's flat parameters (ops/adamw/op.hpp): weight decay on matrices and embeddings, none on biases and gains. A decay by layers makes both rate and weight
/// decay of a parameter smaller (optim/layer_decay.hpp).
///
/// Of a `shard` it keeps the state, and updates the parameters, of that part alone: the other ranks do the others (dist/sharded_adamw.hpp).
///
/// Memory  m and v in the stream's dtype; where the model computes in 16 bits, a master copy too
template <nn::Model Model>
class AdamW<Model> {
 public:
  using Parameter = typename Model::Parameter;
  using Stream = typename Model::Stream;
  static constexpr bool has_master = !std::is_same_v<Parameter, Stream>;

  /// Bytes of state: what the memory plan calls optimizer.
  static constexpr std::size_t bytes(const Shard& shard = Shard::whole(Model::flat_size)) {
    return buffer_bytes(shard) * (has_master ? 3 : 2) + decision_bytes + sums_bytes(shard);
  }

  /// Moments 0; the master copy, if there is one, from the model's parameters. `model` must outlive it.
  /// Errors     Failure::device: out of memory
  explicit AdamW(Model& model, const Shard& shard = Shard::whole(Model::flat_size)) : model_(&model), shard_(shard), memory_(model.device().allocate(bytes(shard))) {
    model.device().clear(memory_.data(), bytes(shard));
    take_parameters();
    restore({.scaler = LossScaler::start(Model::PrecisionPolicy::scales_loss)});
  }

  /// The part of the flat buffer that it keeps.
  const Shard& shard() const { return shard_; }

  /// The master copy becomes the model's parameters: after they were loaded or initialised in the model's dtype.
  void take_parameters() {
    if constexpr (has_master) shard_.for_each([&](Index at, Index kept, Index count, Index) { ops::cast(model_->device(), model_->flat() + at, copy(kept), count); });
  }
  /// The model's parameters become the master copy, rounded: after it was loaded or initialised.
  void give_parameters() {
    if constexpr (has_master) shard_.for_each([&](Index at, Index kept, Index count, Index) { ops::cast(model_->device(), copy(kept), model_->flat() + at, count); });
  }

  /// One step from `gradient` (flat), which is of loss_scale() times the loss: unscaled, clipped; skipped where it isn't finite, and the scale halved.
  /// Only queued: state() tells what came of it.
  void step(const Stream* gradient, const UpdateRules& rules) { measure(gradient), update(gradient, rules); }
  /// The first half of a step: the sums of squares of what it keeps of each bucket of the gradient.
  void measure(const Stream* gradient) {
    if (!shard_.is_whole()) model_->device().clear(sums_of_squares(), static_cast<std::size_t>(shard_.buckets.count()) * sizeof(double));  // of some buckets it may keep nothing
    shard_.for_each([&](Index at, Index, Index count, Index bucket) { ops::sum_of_squares(model_->device(), gradient + at, count, sums_of_squares() + bucket); });
  }
  /// Where `measure` left them, a number a bucket, in the device's memory: of all ranks together before `update`.
  double* sums_of_squares() const { return reinterpret_cast<double*>(memory_.data() + buffers() * buffer_bytes(shard_) + decision_bytes); }
  /// The other half.
  void update(const Stream* gradient, const UpdateRules& rules) {
    optim::update(model_->device(), rules, sums_of_squares(), shard_.buckets.count(), decision());
    apply(gradient, rules);
  }
  /// One step from `gradient` times `gradient_scale`, whatever its norm: for loops that clip and scale themselves.
  void step(const Stream* gradient, double gradient_scale, const ops::AdamW& options) {
    auto now = state();
    now.factors = ops::adamw_factors<Stream>(options, ++now.steps, gradient_scale);
    restore(now);
    apply(gradient, {.adamw = options});
  }

  /// What to multiply the loss by, in the device's memory: the loss scaler decides it there.
  const float* loss_scale() const { return &decision()->scaler.scale; }
  /// Where the optimizer stands, in the device's memory.
  const UpdateState<Stream>* device_state() const { return decision(); }
  /// The same, on the host: waits for the device.
  UpdateState<Stream> state() const {
    UpdateState<Stream> state;
    model_->device().copy_to_host(&state, decision(), sizeof(state));
    return state;
  }
  /// Going on where a saved run stood.
  void restore(const UpdateState<Stream>& state) { model_->device().copy_from_host(decision(), &state, sizeof(state)); }

  /// m of what it keeps.
  Stream* first_moments() const { return buffer(0); }
  /// v of what it keeps.
  Stream* second_moments() const { return buffer(1); }
  /// Parameters of what it keeps, in full precision; where the model's are that, all of them, flat.
  Stream* master() const {
    if constexpr (has_master) return copy(0);
    else return model_->flat();
  }

 private:
  static constexpr std::size_t buffers() { return has_master ? 3 : 2; }
  static constexpr std::size_t buffer_bytes(const Shard& shard) { return round_up(static_cast<std::size_t>(shard.size()) * sizeof(Stream), alignment_bytes); }
  static constexpr std::size_t decision_bytes = round_up(sizeof(UpdateState<Stream>), alignment_bytes);
  static constexpr std::size_t sums_bytes(const Shard& shard) { return round_up(static_cast<std::size_t>(shard.buckets.count()) * sizeof(double), alignment_bytes); }

  /// Parameter by parameter, since each is of a group of its own.
  void apply(const Stream* gradient, const UpdateRules& rules) {
    static constexpr auto levels = layer_levels<Model>();
    shard_.for_each([&](Index at, Index kept, Index count, Index) {
      for (std::size_t i = 0; i < levels.size(); ++i) {
        const nn::ParameterInfo& parameter = Model::table[i];
        const Index first = std::max(at, parameter.offset), end = std::min(at + count, parameter.offset + parameter.size());
        if (first >= end) continue;
        const Index mine = kept + first - at;
        const auto group = ops::adamw_group<Stream>(rules.adamw, parameter.decays(), std::pow(rules.layer_decay, levels[i]));
        ops::adamw(model_->device(), &decision()->factors, group, end - first, has_master ? copy(mine) : master() + first, gradient + first, first_moments() + mine,
                   second_moments() + mine, model_->flat() + first);
      }
    });
  }

  Stream* buffer(std::size_t number) const { return reinterpret_cast<Stream*>(memory_.data() + number * buffer_bytes(shard_)); }
  Stream* copy(Index kept) const { return buffer(2) + kept; }
  UpdateState<Stream>* decision() const { return reinterpret_cast<UpdateState<Stream>*>(memory_.data() + buffers() * buffer_bytes(shard_)); }

  Model* model_;
  Shard shard_;
  typename Model::Device::Memory memory_;
};

/// `AdamW adamw(model)`.
template <class M>
AdamW(M&) -> AdamW<M>;

}  // namespace terse::optim
