#pragma once
/// What a run is told: how it learns, and from what.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <terse/core/dtype.hpp>
#include <terse/core/error.hpp>
#include <terse/nn/model.hpp>
#include <terse/optim/layer_decay.hpp>
#include <terse/optim/schedule.hpp>
#include <terse/text/packing.hpp>

namespace terse::train {

/// How a run learns. The defaults are the summarization job's.
struct TrainOptions {
  text::StepSchedule schedule;
  optim::CosineSchedule rates;  ///< decay ends at the last step
  double beta1 = 0.9, beta2 = 0.95, weight_decay = 0.1;
  double layer_decay = 1;       ///< of the learning rate, a block nearer to the input, above 0 to 1 (optim/layer_decay.hpp); 1: one rate for all
  double clip = 1.0;            ///< largest global gradient norm; 0: none
  float dropout = 0.1f;
  float label_smoothing = 0;    ///< what the training loss gives to the whole vocabulary, from 0 to below 1 (ops/cross_entropy/op.hpp); validation stays without
  float r_drop = 0;             ///< what the divergence of each sample's two passes, through two dropouts, weighs in the training loss (ops/r_drop/op.hpp); 0: one pass
  double ema = 0;               ///< decay of an exponential moving average of the weights (optim/ema.hpp), which is what the run is judged by and gives, below 1; 0: none
  long evaluate_every = 100;    ///< steps between validations; 0: only after the last
  long checkpoint_every = 0;    ///< steps between on_checkpoint; 0: only at the end
  bool reproducible = false;    ///< the same bits however ranks x accumulate divide a step; they must be a power of two (dist/ddp.hpp says what it costs)
  bool shard_optimizer = false; ///< each rank keeps its part of the optimizer's state alone (dist/sharded_adamw.hpp)
  Dtype reduce_dtype = Dtype::f32;  ///< in which gradients are summed over ranks: f32, or bf16 for half the bytes (dist::ReduceOptions::dtype)
  std::size_t bucket_bytes = 0; ///< of gradients that are summed over ranks at a time while backward runs; 0: dist::default_bucket_bytes
  long trace_steps = 0;         ///< how many steps, from the first of this run, Trainer::spans tells of
};

/// Errors     Failure::usage: a number is out of its range, or what the model can't do is asked for
template <nn::TrainableModel Model>
void require_valid(const TrainOptions& options) {
  if (!(options.label_smoothing >= 0 && options.label_smoothing < 1))
    fail(Failure::usage, "label_smoothing ", options.label_smoothing, ": it is at least 0, which smooths nothing, and below 1; try 0.1");
  if (!(options.layer_decay > 0 && options.layer_decay <= 1)) fail(Failure::usage, "layer_decay ", options.layer_decay, ": it is above 0, and at most 1, which decays nothing; try 0.8");
  if (!(options.ema >= 0 && options.ema < 1)) fail(Failure::usage, "ema ", options.ema, ": it is at least 0, which averages nothing, and below 1; try 0.999");
  if (!(options.r_drop >= 0 && std::isfinite(options.r_drop))) fail(Failure::usage, "r_drop ", options.r_drop, ": it is at least 0, which is one pass a sample; try 1");
  if (options.r_drop > 0 && options.dropout == 0) fail(Failure::usage, "r_drop ", options.r_drop, ": without dropout both passes are the same; set dropout, or leave r_drop at 0");
  if constexpr (!requires { requires Model::takes_loss_terms; })
    for (const auto& [name, value] : {std::pair{"label_smoothing", options.label_smoothing}, {"r_drop", options.r_drop}})
      if (value > 0) fail(Failure::usage, name, " ", value, ": this model's loss is cross-entropy alone; leave it at 0, or have backward take batch.loss_terms and say so (nn/model.hpp)");
  if (options.layer_decay < 1 && optim::layer_levels<Model>().front() == 0)
    fail(Failure::usage, "layer_decay ", options.layer_decay, ": this model has no array of layers, so there is nothing to decay by; leave it at 1");
}

/// Which samples a run learns from and which it is judged by.
struct TrainData {
  std::span<const text::Sample> training;
  std::span<const std::uint32_t> training_numbers;
  std::span<const text::Sample> validation;
  std::span<const std::uint32_t> validation_numbers;  ///< of `validation`; may be empty
};

}  // namespace terse::train
