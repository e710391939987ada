#pragma once
#include <algorithm>
#include <type_traits>

#include <terse/core/error.hpp>
#include <terse/device/cpu.hpp>
#include <terse/nn/model.hpp>
#include <terse/ops/adamw/cpu.hpp>
#include <terse/ops/cast/cpu.hpp>

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
  static constexpr std::size_t bytes() { return static_cast<std::size_t>(Model::flat_size) * sizeof(Stream) * (has_master ? 3 : 2); }

  /// Moments 0; the master copy, if there is one, from the model's parameters. `model` must outlive it.
  /// Errors     Failure::device: out of memory
  explicit AdamW(Model& model) : model_(&model), memory_(model.device().allocate(bytes())) {
    std::fill_n(moments(), 2 * Model::flat_size, Stream{});
    take_parameters();
  }

  /// The master copy becomes the model's parameters: after they were loaded or initialised in the model's dtype.
  void take_parameters() {
    if constexpr (has_master) ops::cast(model_->device(), model_->flat(), master(), Model::flat_size);
  }
  /// The model's parameters become the master copy, rounded: after it was loaded or initialised.
  void give_parameters() {
    if constexpr (has_master) ops::cast(model_->device(), master(), model_->flat(), Model::flat_size);
  }

  /// One step from `gradient` (flat) times `gradient_scale`. `steps()` counts it.
  void step(const Stream* gradient, double gradient_scale, ops::AdamW options) {
    ++steps_;
    for (const auto& parameter : Model::table) {
      ops::AdamW here = options;
      if (!parameter.decays()) here.weight_decay = 0;
      const Index at = parameter.offset;
      ops::adamw(model_->device(), here, steps_, static_cast<Stream>(gradient_scale), parameter.size(), master() + at, gradient + at,
                 first_moments() + at, second_moments() + at, model_->flat() + at);
    }
  }

  /// Steps taken.
  long steps() const { return steps_; }
  /// Going on with moments that were saved after `steps`.
  void set_steps(long steps) { steps_ = steps; }
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
  Stream* moments() const { return reinterpret_cast<Stream*>(memory_.data()); }

  Model* model_;
  typename Model::Device::Memory memory_;
  long steps_ = 0;
};

/// `AdamW adamw(model)`.
template <class M>
AdamW(M&) -> AdamW<M>;

}  // namespace terse::optim
