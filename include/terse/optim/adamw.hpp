#pragma once
#include <type_traits>

#include <terse/core/arena.hpp>
#include <terse/core/error.hpp>
#include <terse/device/cpu.hpp>
#include <terse/nn/model.hpp>
#include <terse/ops/adamw/cpu.hpp>
#include <terse/ops/cast/cpu.hpp>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/optim/update.hpp>

namespace terse::optim {

/// What isn't a model gives these words and nothing more.
template <class M>
class AdamW {
  static_assert(mistaken<M>, "terse: AdamW: this is no model (nn/model.hpp): it has no flat buffer of parameters; give the whole model, not a layer");

 public:
  explicit AdamW(M&) {}
};

/// AdamW over a model's flat parameters (ops/adamw/op.hpp): weight decay on matrices and embeddings, none on biases and gains.
///
/// Memory  m and v in the stream's dtype; where the model computes in 16 bits, a master copy too
template <nn::Model Model>
class AdamW<Model> {
 public:
  using Parameter = typename Model::Parameter;
  using Stream = typename Model::Stream;
  static constexpr bool has_master = !std::is_same_v<Parameter, Stream>;

  /// Bytes of state: what the memory plan calls optimizer.
  static constexpr std::size_t bytes() {
    return moment_bytes * (has_master ? 3 : 2) + round_up(sizeof(Decision), alignment_bytes);
  }

  /// Moments 0; the master copy, if there is one, from the model's parameters. `model` must outlive it.
  /// Errors     Failure::device: out of memory
  explicit AdamW(Model& model) : model_(&model), memory_(model.device().allocate(bytes())) {
    model.device().clear(moments(), 2 * moment_bytes);
    take_parameters();
    restore({.scaler = LossScaler::start(Model::PrecisionPolicy::scales_loss)});
  }

  /// The master copy becomes the model's parameters: after they were loaded or initialised in the model's dtype.
  void take_parameters() {
    if constexpr (has_master) ops::cast(model_->device(), model_->flat(), master(), Model::flat_size);
  }
  /// The model's parameters become the master copy, rounded: after it was loaded or initialised.
  void give_parameters() {
    if constexpr (has_master) ops::cast(model_->device(), master(), model_->flat(), Model::flat_size);
  }

  /// One step from `gradient` (flat), which is of loss_scale() times the loss: unscaled, clipped; skipped where it isn't finite, and the scale halved.
  /// Only queued: state() tells what came of it.
  void step(const Stream* gradient, const UpdateRules& rules) {
    ops::sum_of_squares(model_->device(), gradient, Model::flat_size, &decision()->sum_of_squares);
    update(model_->device(), rules, &decision()->sum_of_squares, &decision()->state);
    apply(gradient);
  }
  /// One step from `gradient` times `gradient_scale`, whatever its norm: for loops that clip and scale themselves.
  void step(const Stream* gradient, double gradient_scale, const ops::AdamW& options) {
    auto now = state();
    now.factors = ops::adamw_factors<Stream>(options, ++now.steps, gradient_scale);
    restore(now);
    apply(gradient);
  }

  /// What to multiply the loss by, in the device's memory: the loss scaler decides it there.
  const float* loss_scale() const { return &decision()->state.scaler.scale; }
  /// Where the optimizer stands, in the device's memory.
  const UpdateState<Stream>* device_state() const { return &decision()->state; }
  /// The same, on the host: waits for the device.
  UpdateState<Stream> state() const {
    UpdateState<Stream> state;
    model_->device().copy_to_host(&state, device_state(), sizeof(state));
    return state;
  }
  /// Going on where a saved run stood.
  void restore(const UpdateState<Stream>& state) { model_->device().copy_from_host(&decision()->state, &state, sizeof(state)); }
  /// m, flat.
  Stream* first_moments() const { return moments(); }
  /// v, flat.
  Stream* second_moments() const { return moments() + Model::flat_size; }
  /// Parameters in full precision, flat.
  Stream* master() const {
    if constexpr (has_master) return moments() + 2 * Model::flat_size;
    else return model_->flat();
  }

 private:
  struct Decision {
    UpdateState<Stream> state;
    double sum_of_squares;
  };
  static constexpr std::size_t moment_bytes = static_cast<std::size_t>(Model::flat_size) * sizeof(Stream);  // flat_size is a multiple of the alignment

  void apply(const Stream* gradient) {
    for (const auto& parameter : Model::table) {
      const Index at = parameter.offset;
      ops::adamw(model_->device(), &device_state()->factors, parameter.decays(), parameter.size(), master() + at, gradient + at, first_moments() + at,
                 second_moments() + at, model_->flat() + at);
    }
  }

  Decision* decision() const { return reinterpret_cast<Decision*>(memory_.data() + moment_bytes * (has_master ? 3 : 2)); }
  Stream* moments() const { return reinterpret_cast<Stream*>(memory_.data()); }

  Model* model_;
  typename Model::Device::Memory memory_;
};

/// `AdamW adamw(model)`.
template <class M>
AdamW(M&) -> AdamW<M>;

}  // namespace terse::optim
