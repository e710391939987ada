#pragma once
#include <algorithm>
#include <numeric>

#include <terse/decode/memory.hpp>
#include <terse/ops/logits/cpu.hpp>
#include <terse/tensor/tensor.hpp>

#include "compiled_model.hpp"

namespace summarize {

/// A rank's device: the GPU of that number, or so many threads of the CPU.
template <class Device>
Device device_of(int gpu, int threads) {
  if constexpr (std::is_same_v<Device, Cpu>) return Cpu(threads);
  else return Device(gpu);
}

template <decode::CausalLm Model>
class PredictorOf final : public Predictor {
  using Device = typename Model::Device;
  static constexpr Index vocabulary = Model::Config::vocabulary;

 public:
  /// `load` makes the model on a device.
  PredictorOf(int threads, auto&& load) : device_(device_of<Device>(0, threads)), model_(load(device_)), cache_(device_, 1) {
    device_.reserve_thread_scratch(decode::generator_thread_bytes<Model>());
  }

  /// The whole sample is one step's rows, those of its summary are asked for logits.
  std::span<const float> log_probabilities(const text::Sample& sample) override {
    const auto rows = static_cast<Index>(sample.tokens()), asks = static_cast<Index>(sample.targets());
    const Extent extent{.tokens = rows, .sequences = asks};
    const TensorGroup<typename Model::InferenceScratch, Device> scratch(device_, extent);
    const decode::MirroredGroup<decode::StepRows, Device> step(device_, extent);
    const auto& here = step.on_host;
    std::copy_n(sample.ids.begin(), rows, here.ids.data);
    std::fill_n(here.slots.data, rows, 0);
    std::iota(here.positions.data, here.positions.data + rows, 0);
    std::iota(here.ask.data, here.ask.data + asks, static_cast<std::int32_t>(sample.first_target()));
    step.upload();
    const auto part = [](const auto& column, Index count) { return std::span(column.data, static_cast<std::size_t>(count)); };
    const auto& there = step.on_device;
    model_.infer({part(there.ids, rows), part(there.slots, rows), part(there.positions, rows)}, part(there.ask, asks), cache_, *scratch);
    ops::log_softmax<vocabulary>(device_, scratch->logits);
    values_.resize(static_cast<std::size_t>(asks * vocabulary));
    for (Index a = 0; a < asks; ++a) device_.copy_to_host(values_.data() + a * vocabulary, scratch->logits[a].data, static_cast<std::size_t>(vocabulary) * sizeof(float));
    return values_;
  }

 private:
  Device device_;
  Model model_;
  typename Model::Cache cache_;
  std::vector<float> values_;
};

}  // namespace summarize
