#pragma once
// A GPT with random weights and all that its training step needs.
#include <span>
#include <string>

#include <terse/models/gpt.hpp>

#include "support/owned_batch.hpp"
#include "support/random_weights.hpp"

template <class Config, class P>
class TrainingModel {
 public:
  using Gpt = terse::models::Gpt<Config, P, terse::Cpu>;
  using Stream = typename P::Stream;

  /// Memory for micro-batches of up to `extent`.
  explicit TrainingModel(terse::Extent extent, int threads = 2) : cpu_(threads), gpt_(cpu_), gradients_(cpu_.allocate(Gpt::flat_size * sizeof(Stream))) {
    for (const auto& parameter : Gpt::table) {
      const auto values = RandomWeights{.seed = 3, .spread = true}(parameter.name.view(), static_cast<std::size_t>(parameter.saved_rows), static_cast<std::size_t>(parameter.columns));
      for (std::size_t i = 0; i < values.size(); ++i) gpt_.flat()[parameter.offset + static_cast<terse::Index>(i)] = static_cast<typename P::Parameter>(values[i]);
    }
    memory_ = cpu_.allocate(terse::bytes_needed<typename Gpt::Saved>(extent) + terse::bytes_needed<typename Gpt::Scratch>(extent));
    terse::Arena arena(memory_.data(), memory_.bytes());
    terse::carve(arena, saved_, extent), terse::carve(arena, scratch_, extent);
    cpu_.reserve_thread_scratch(terse::ops::attention_scratch<Stream, Gpt::C / Config::heads>(Config::context));
    cpu_.reserve_workspace(std::size_t{8} << 20);
    terse::nn::bind(gradient_, flat_gradient());
  }

  terse::Cpu& cpu() { return cpu_; }
  Gpt& gpt() { return gpt_; }
  const typename Gpt::Saved& saved() const { return saved_; }
  Stream* flat_gradient() const { return reinterpret_cast<Stream*>(gradients_.data()); }

  double loss(const terse::PackedBatch& batch, const terse::ops::DropoutPlan& dropout = {}) {
    resize(batch);
    gpt_.forward(batch, dropout, saved_, scratch_);
    gpt_.loss(batch, saved_, scratch_);
    return terse::ops::weighted_sum(batch.weights, scratch_.losses);
  }
  /// The gradient replaces the one before.
  double backward(const terse::PackedBatch& batch, const terse::ops::DropoutPlan& dropout = {}, float loss_scale = 1) {
    clear_gradient();
    return add_gradient(batch, dropout, loss_scale);
  }
  void clear_gradient() { std::fill_n(flat_gradient(), Gpt::flat_size, Stream{0}); }
  double add_gradient(const terse::PackedBatch& batch, const terse::ops::DropoutPlan& dropout = {}, float loss_scale = 1) {
    resize(batch);
    gpt_.forward(batch, dropout, saved_, scratch_);
    gpt_.backward(batch, dropout, &loss_scale, saved_, scratch_, gradient_);
    return terse::ops::weighted_sum(batch.weights, scratch_.losses);
  }

 private:
  void resize(const terse::PackedBatch& batch) {
    const terse::Extent extent{batch.tokens(), batch.sequences()};
    terse::shrink(saved_, extent), terse::shrink(scratch_, extent);
    scratch_.losses.rows = static_cast<terse::Index>(batch.target_rows.size());
  }

  terse::Cpu cpu_;
  Gpt gpt_;
  terse::CpuMemory gradients_, memory_;
  typename Gpt::Saved saved_;
  typename Gpt::Scratch scratch_;
  typename Gpt::Gradients gradient_;
};
